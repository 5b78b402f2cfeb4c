//! Whether an ONNX file has everything that it computes with in itself.
//!
//! In: the bytes of a file. Out: nothing, or which of its tensors lies elsewhere. Costs: one pass over its fields;
//! weights are stepped over. Leaves to others: what the model computes (ONNX Runtime).
//!
//! ONNX lets a tensor name another file for its values ("external data"). For a model that is loaded from memory ONNX
//! Runtime 1.26 takes that file from the folder in which the program runs, which for a service is the whole disk:
//! weights that no digest covers would be used under the digest of a file that does not have them. So every message
//! of the format that can hold a tensor is walked (`onnx.proto`), and what cannot be walked is refused: a parser that
//! reads more than this one must not be given more. ONNX Runtime's own format (`ORTM`) is refused too.

/// Why a file is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOneFile {
    /// A tensor's values are in another file.
    #[error(
        "the values of its tensor {0:?} are in another file, which no digest covers: export the model into one file"
    )]
    Elsewhere(String),
    /// It is not in the format of ONNX.
    #[error("it is no ONNX file: {0}")]
    Foreign(&'static str),
}

/// Deepest nesting, as that of the parser which ONNX Runtime uses.
const DEEPEST: u32 = 100;

/// Longest name of a tensor that is repeated, in characters.
const LONGEST_NAME: usize = 60;

/// The messages of the format that can hold a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
    Training,
}

impl Message {
    /// What this field holds, if it can hold a tensor.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::Training, 1 | 2) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => {
                Self::Tensor
            }
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::SparseTensor,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            _ => return None,
        })
    }
}

/// Fields of a tensor: its name, the entries that name another file, and whether they count.
const NAME: u64 = 8;
const EXTERNAL_DATA: u64 = 13;
const DATA_LOCATION: u64 = 14;

/// Refuses a file that needs another one, or that cannot be walked.
pub fn check(onnx: &[u8]) -> Result<(), NotOneFile> {
    // ONNX Runtime tells its own format by these bytes, whatever else a file is.
    if onnx.get(4..8) == Some(b"ORTM") {
        return Err(NotOneFile::Foreign("it is in ONNX Runtime's own format"));
    }
    walk(Message::Model, onnx, 0)
}

fn walk(message: Message, bytes: &[u8], depth: u32) -> Result<(), NotOneFile> {
    if depth > DEEPEST {
        return Err(NotOneFile::Foreign("it is nested too deeply"));
    }
    let (mut fields, mut name, mut is_elsewhere) = (Fields(bytes), &b""[..], false);
    while let Some((number, value)) = fields.next()? {
        match (message, number, value) {
            (Message::Tensor, NAME, Value::Bytes(text)) => name = text,
            (Message::Tensor, EXTERNAL_DATA, Value::Bytes(_)) => is_elsewhere = true,
            (Message::Tensor, DATA_LOCATION, Value::Number(place)) => is_elsewhere |= place != 0,
            (_, _, Value::Bytes(inner)) => {
                if let Some(held) = message.field(number) {
                    walk(held, inner, depth + 1)?;
                }
            }
            _ => {}
        }
    }
    match is_elsewhere {
        true => {
            let name = String::from_utf8_lossy(name);
            Err(NotOneFile::Elsewhere(name.chars().take(LONGEST_NAME).collect()))
        }
        false => Ok(()),
    }
}

/// A field's value, as far as it matters here.
enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    Fixed,
}

/// The fields of a message in the encoding of protocol buffers.
struct Fields<'b>(&'b [u8]);

const CUT: NotOneFile = NotOneFile::Foreign("one of its fields is cut off");

impl<'b> Fields<'b> {
    /// The next field: its number and its value.
    fn next(&mut self) -> Result<Option<(u64, Value<'b>)>, NotOneFile> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.number()?;
        // Of a longer one parsers drop the upper bits, each in its way.
        if tag > u64::from(u32::MAX) || tag >> 3 == 0 {
            return Err(NotOneFile::Foreign("one of its fields has no number"));
        }
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.number()?;
                Value::Bytes(self.take(usize::try_from(length).map_err(|_| CUT)?)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups, which ONNX has none of.
            _ => return Err(NotOneFile::Foreign("one of its fields is of no kind that it has")),
        };
        Ok(Some((tag >> 3, value)))
    }

    fn number(&mut self) -> Result<u64, NotOneFile> {
        let mut number = 0;
        for at in 0..10 {
            let byte = *self.0.get(at).ok_or(CUT)?;
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.0 = &self.0[at + 1..];
                return Ok(number);
            }
        }
        Err(NotOneFile::Foreign("one of its numbers has no end"))
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], NotOneFile> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn number(mut n: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while n > 0x7f {
            out.push((n as u8) | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out
    }

    /// A field that holds bytes.
    fn holds(field: usize, inner: &[u8]) -> Vec<u8> {
        [number((field << 3) | 2), number(inner.len()), inner.to_vec()].concat()
    }

    /// A tensor of four floats whose values are in `w.bin`, and one that has them.
    fn elsewhere() -> Vec<u8> {
        let place = [holds(1, b"location"), holds(2, b"w.bin")].concat();
        [vec![0x08, 4, 0x10, 1], holds(8, b"w"), vec![0x70, 1], holds(13, &place)].concat()
    }

    fn here() -> Vec<u8> {
        [vec![0x08, 4, 0x10, 1], holds(8, b"w"), holds(9, &[0; 16])].concat()
    }

    /// A model with this at the end of these fields, from the outermost.
    fn within(path: &[usize], inner: Vec<u8>) -> Vec<u8> {
        let mut model = path.iter().rev().fold(inner, |inner, field| holds(*field, &inner));
        model.extend([0x08, 8]);
        model
    }

    #[rstest]
    #[case::initializer(&[7, 5])]
    #[case::values_of_a_sparse_initializer(&[7, 15, 1])]
    #[case::indices_of_a_sparse_initializer(&[7, 15, 2])]
    #[case::constant(&[7, 1, 5, 5])]
    #[case::constants(&[7, 1, 5, 10])]
    #[case::sparse_constant(&[7, 1, 5, 22, 1])]
    #[case::sparse_constants(&[7, 1, 5, 23, 2])]
    #[case::in_a_branch(&[7, 1, 5, 6, 5])]
    #[case::in_a_branch_of_a_branch(&[7, 1, 5, 6, 1, 5, 11, 5])]
    #[case::in_a_function(&[25, 7, 5, 5])]
    #[case::default_of_a_function(&[25, 11, 5])]
    #[case::training(&[20, 1, 5])]
    #[case::training_algorithm(&[20, 2, 1, 5, 5])]
    fn tensor_in_another_file_is_found_wherever_the_format_has_tensors(#[case] path: &[usize]) {
        assert_eq!(check(&within(path, here())), Ok(()));
        assert_eq!(check(&within(path, elsewhere())), Err(NotOneFile::Elsewhere("w".into())));
        // The location alone, and the word alone that there is one.
        let named = [holds(8, b"w"), holds(13, &holds(1, b"location"))].concat();
        assert!(check(&within(path, named)).is_err());
        assert!(check(&within(path, vec![0x70, 1])).is_err());
        assert_eq!(check(&within(path, vec![0x70, 0])), Ok(()), "it says that they are here");
    }

    #[test]
    fn shipped_models_are_one_file_each() {
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let mut looked_at = 0;
        for folder in std::fs::read_dir(models).unwrap() {
            if let Ok(onnx) = std::fs::read(folder.unwrap().path().join("model.onnx")) {
                assert_eq!(check(&onnx), Ok(()));
                looked_at += 1;
            }
        }
        assert!(looked_at >= 5, "{looked_at}");
    }

    #[test]
    fn what_cannot_be_walked_is_refused() {
        let good = within(&[7, 5], here());
        for at in 1..good.len() {
            // Cut between two fields of the model it is a shorter model.
            let cut = check(&good[..at]);
            assert!(matches!(cut, Err(NotOneFile::Foreign(_))) || at == good.len() - 2, "{at}");
        }
        for foreign in [
            &b"this is an HTML error page of a download"[..],
            b"\x18\0\0\0ORTM and more",
            // A group, a field without a number, a number without an end.
            b"\x3b\x3c",
            b"\x02\x00",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            // A tag of more bits than a tag has.
            b"\xba\x80\x80\x80\x80\x01\x00",
        ] {
            assert!(matches!(check(foreign), Err(NotOneFile::Foreign(_))), "{foreign:?}");
        }
        let deep = (0..300).fold(elsewhere(), |inner, _| holds(1, &holds(5, &holds(6, &inner))));
        assert!(check(&holds(7, &deep)).is_err());
    }

    /// A field of a number that no message of the format has.
    fn foreign_field() -> impl Strategy<Value = Vec<u8>> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..20);
        (100_usize..5_000, 0_usize..4, any::<u32>(), bytes).prop_map(|(field, kind, n, bytes)| {
            match kind {
                0 => [number(field << 3), number(n as usize)].concat(),
                1 => [number((field << 3) | 1), vec![n as u8; 8]].concat(),
                2 => holds(field, &bytes),
                _ => [number((field << 3) | 5), n.to_le_bytes().to_vec()].concat(),
            }
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = check(&bytes);
        }

        #[test]
        fn tensor_in_another_file_is_found_whatever_stands_around_it(
            around in proptest::collection::vec(foreign_field(), 4),
            path in proptest::sample::select(vec![&[7_usize, 5][..], &[7, 1, 5, 6, 5], &[25, 7, 5, 5]]),
        ) {
            let tensor = [&around[0][..], &elsewhere(), &around[1]].concat();
            let model = [&around[2][..], &within(path, tensor), &around[3]].concat();
            // ONNX Runtime's own format is told by its fifth byte and the next.
            prop_assume!(model.get(4..8) != Some(b"ORTM"));
            prop_assert_eq!(check(&model), Err(NotOneFile::Elsewhere("w".into())));
        }
    }
}
