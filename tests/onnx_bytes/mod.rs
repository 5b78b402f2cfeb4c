//! The smallest ONNX files there can be, written byte by byte: models whose output is known.

/// A protobuf message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.0.push((v & 0x7f) as u8 | 0x80);
            v >>= 7;
        }
        self.0.push(v as u8);
    }

    fn number(mut self, field: u64, v: i64) -> Self {
        self.varint(field << 3);
        self.varint(v as u64);
        self
    }

    fn bytes(mut self, field: u64, v: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(v.len() as u64);
        self.0.extend(v);
        self
    }

    fn text(self, field: u64, v: &str) -> Self {
        self.bytes(field, v.as_bytes())
    }

    fn message(self, field: u64, v: Self) -> Self {
        self.bytes(field, &v.0)
    }
}

const FLOAT: i64 = 1;
const UINT8: i64 = 2;
const INT64: i64 = 7;

fn tensor(name: &str, kind: i64, dims: &[i64], raw: &[u8]) -> Message {
    let m = dims.iter().fold(Message::default(), |m, d| m.number(1, *d));
    m.number(2, kind).text(8, name).bytes(9, raw)
}

fn floats(name: &str, dims: &[i64], data: &[f32]) -> Message {
    let raw: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor(name, FLOAT, dims, &raw)
}

/// An input or output; a dimension of -1 is free.
fn port(name: &str, kind: i64, dims: &[i64]) -> Message {
    let shape = dims.iter().fold(Message::default(), |m, d| {
        let dim = Message::default();
        m.message(1, if *d < 0 { dim.text(2, "n") } else { dim.number(1, *d) })
    });
    let tensor = Message::default().number(1, kind).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

fn node(op: &str, inputs: &[&str], output: &str, attributes: Vec<Message>) -> Message {
    let m = inputs.iter().fold(Message::default(), |m, i| m.text(1, i));
    let m = m.text(2, output).text(3, output).text(4, op);
    attributes.into_iter().fold(m, |m, a| m.message(5, a))
}

/// Attribute types of ONNX: one integer, several.
fn int(name: &str, v: i64) -> Message {
    Message::default().text(1, name).number(3, v).number(20, 2)
}

fn ints(name: &str, v: &[i64]) -> Message {
    v.iter().fold(Message::default().text(1, name), |m, v| m.number(8, *v)).number(20, 7)
}

fn model(
    nodes: Vec<Message>,
    constants: Vec<Message>,
    input: Message,
    outputs: Vec<Message>,
) -> Vec<u8> {
    let graph = nodes.into_iter().fold(Message::default(), |m, n| m.message(1, n));
    let graph = constants.into_iter().fold(graph.text(2, "test"), |m, c| m.message(5, c));
    let graph = outputs.into_iter().fold(graph.message(11, input), |m, o| m.message(12, o));
    let opset = Message::default().text(1, "").number(2, 13);
    Message::default().number(1, 7).message(7, graph).message(8, opset).0
}

/// A float model that says the same whatever it sees.
pub(crate) fn constant(input: &[i64], dims: &[i64], data: &[f32]) -> Vec<u8> {
    model(
        vec![node("Identity", &["c"], "y", vec![])],
        vec![floats("c", dims, data)],
        port("x", FLOAT, input),
        vec![port("y", FLOAT, dims)],
    )
}

/// A model of bytes that says the same of each picture of a batch: `[n, dims]`.
pub(crate) fn per_picture(input: [i64; 3], dims: &[i64; 2], data: &[f32]) -> Vec<u8> {
    per_picture_and(input, dims, data, None)
}

/// The same with a second output of this name, `[n, values]`.
pub(crate) fn per_picture_and(
    [h, w, c]: [i64; 3],
    dims: &[i64; 2],
    data: &[f32],
    second: Option<(&str, &[f32])>,
) -> Vec<u8> {
    let shape = |dims: &[i64]| dims.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (mut nodes, mut constants, mut outputs) = (
        vec![
            node("Cast", &["x"], "f", vec![int("to", FLOAT)]),
            node("ReduceMean", &["f"], "m", vec![ints("axes", &[1, 2, 3]), int("keepdims", 1)]),
            node("Mul", &["m", "zero"], "z", vec![]),
            node("Reshape", &["z", "shape"], "r", vec![]),
            node("Add", &["r", "c"], "y", vec![]),
        ],
        vec![
            floats("zero", &[1], &[0.0]),
            tensor("shape", INT64, &[3], &shape(&[-1, 1, 1])),
            floats("c", &[1, dims[0], dims[1]], data),
        ],
        vec![port("y", FLOAT, &[-1, dims[0], dims[1]])],
    );
    if let Some((name, values)) = second {
        let n = i64::try_from(values.len()).expect("few values");
        nodes.push(node("Reshape", &["z", "flat"], "s", vec![]));
        nodes.push(node("Add", &["s", "second"], name, vec![]));
        constants.push(tensor("flat", INT64, &[2], &shape(&[-1, 1])));
        constants.push(floats("second", &[1, n], values));
        outputs.push(port(name, FLOAT, &[-1, n]));
    }
    model(nodes, constants, port("x", UINT8, &[-1, h, w, c]), outputs)
}
