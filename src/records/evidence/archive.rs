//! Writes and reads the zip archive of a bundle, in the only form that is accepted.
//!
//! In: names and bytes. Out: the archive; or the files of one, in their order. Costs: a copy. Leaves to
//! others: who signed what, and comparing: what [`unpack`] finds must [`pack`] to the very same bytes.
//!
//! A zip archive says everything twice, in front of each file and at its end, and programs differ in whom they
//! believe. In this form nothing is left to differ in: files one behind the other from the first byte on,
//! stored as they are, all of one date and one set of rights, without comments, further fields or bytes
//! between; then the directory with the same in the same order; then its end. It is written here and not by a
//! library, since the bytes must be the same in ten years.

/// What begins a file, an entry of the directory, and the directory's end.
const FILE: [u8; 4] = *b"PK\x03\x04";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";

/// Bytes of a file's header behind its mark and before its name.
const HEADER: usize = 26;

/// Version of the format that a reader must know for files that are stored.
const NEEDED: u16 = 10;

/// Who made it: Unix, version 2.0 of the format.
const MADE_BY: u16 = 3 << 8 | 20;

/// 1 January 1980, the first day of the format: when the bundle was made is in its signed manifest.
const DATE: u16 = 1 << 5 | 1;

/// A plain file that everybody may read.
const RIGHTS: u32 = 0o100_644 << 16;

/// Largest file, and largest archive: a picture and a page are far below.
pub const MOST_BYTES: usize = 64 << 20;

/// Most files.
pub(super) const MOST_FILES: usize = 256;

/// Makes the archive; nothing if it would be larger than any evidence.
pub(super) fn pack<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Option<Vec<u8>> {
    let (mut out, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for (name, bytes) in files {
        let offset = u32::try_from(out.len()).ok()?;
        let length = u32::try_from(bytes.len()).ok()?;
        let mut header = Vec::with_capacity(HEADER);
        for half in [NEEDED, 0, 0, 0, DATE] {
            header.extend_from_slice(&half.to_le_bytes());
        }
        for word in [checksum(bytes), length, length] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        for half in [u16::try_from(name.len()).ok()?, 0] {
            header.extend_from_slice(&half.to_le_bytes());
        }
        out.extend_from_slice(&FILE);
        out.extend_from_slice(&header);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(bytes);
        directory.extend_from_slice(&ENTRY);
        directory.extend_from_slice(&MADE_BY.to_le_bytes());
        directory.extend_from_slice(&header);
        // No comment, on the first disk, of no special kind.
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&RIGHTS.to_le_bytes());
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
        count += 1;
        if out.len() > MOST_BYTES || usize::from(count) > MOST_FILES {
            return None;
        }
    }
    let offset = u32::try_from(out.len()).ok()?;
    let length = u32::try_from(directory.len()).ok()?;
    out.append(&mut directory);
    out.extend_from_slice(&END);
    out.extend_from_slice(&[0; 4]);
    for half in [count, count] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    for word in [length, offset] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&[0; 2]);
    Some(out)
}

/// The files of an archive as they stand one behind the other. What the directory says is not looked at: the
/// caller packs them again and compares.
pub(super) fn unpack(archive: &[u8]) -> Result<Vec<(&str, &[u8])>, String> {
    let half = |at: &[u8], from: usize| usize::from(u16::from_le_bytes([at[from], at[from + 1]]));
    let (mut files, mut rest) = (Vec::new(), archive);
    if !archive.starts_with(&FILE) {
        return Err(
            "it does not begin with a file: it is another thing, or bytes were put before it"
                .into(),
        );
    }
    while let Some(body) = rest.strip_prefix(&FILE) {
        let (header, body) =
            body.split_at_checked(HEADER).ok_or("it ends within a file's header")?;
        let length = u32::from_le_bytes([header[14], header[15], header[16], header[17]]);
        let length = usize::try_from(length).map_err(|_| "a file is too long")?;
        let (name, body) =
            body.split_at_checked(half(header, 22)).ok_or("it ends within a file's name")?;
        let name = std::str::from_utf8(name).map_err(|_| "a file's name is no text")?;
        let shown: String = name.chars().take(80).collect();
        if half(header, 4) != 0 {
            return Err(format!(
                "{shown:?} is compressed, which bundles are not: it was packed anew, or made by an Outrider of \
                 before December 2026"
            ));
        }
        if half(header, 24) != 0 {
            return Err(format!("{shown:?} has further fields, which files of a bundle have not"));
        }
        let (bytes, body) =
            body.split_at_checked(length).ok_or_else(|| format!("it ends within {shown:?}"))?;
        files.push((name, bytes));
        rest = body;
        if files.len() > MOST_FILES {
            return Err("it holds more files than any bundle".into());
        }
    }
    match rest.starts_with(&ENTRY) {
        true => Ok(files),
        false => Err(match files.last() {
            Some((name, _)) => format!("there are bytes behind {name:?} that belong to no file"),
            None => "it holds no file".into(),
        }),
    }
}

/// CRC-32 as zip has it (ISO 3309).
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| TABLE[usize::from(*byte ^ crc as u8)] ^ (crc >> 8))
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let (mut value, mut bit) = (n as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[n] = value;
        n += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_standards() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn what_is_packed_comes_out_and_a_zip_program_agrees() {
        let files = [("a.txt", &b"first"[..]), ("empty", b""), ("b.bin", &[0xff; 300])];
        let archive = pack(files).unwrap();
        assert_eq!(unpack(&archive).unwrap(), files);
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&archive)).unwrap();
        assert_eq!(zip.len(), 3);
        for (name, bytes) in files {
            let mut file = zip.by_name(name).unwrap();
            let mut found = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut found).unwrap();
            assert_eq!(found, bytes);
        }
    }
}
