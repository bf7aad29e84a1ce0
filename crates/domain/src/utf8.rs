//! Decodes files that people write.

/// A file is not UTF-8 text. Prints as `the file is not UTF-8: the byte 0xe9 in line 3, column 10; save the file as UTF-8`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} in line {line}, column {column}; {}", Self::REMEDY)]
pub struct Utf8Error {
    /// The line of the first invalid byte, from 1.
    pub line: usize,
    /// The column of the byte, from 1, in characters.
    pub column: usize,
    /// What is wrong, with the byte.
    pub message: String,
}

impl Utf8Error {
    /// What to do.
    pub const REMEDY: &str = "save the file as UTF-8";
}

/// The text of a file, without a byte order mark.
///
/// # Errors
/// [`Utf8Error`] with the position of the first invalid byte. A retry does not help.
pub fn text(bytes: &[u8]) -> Result<&str, Utf8Error> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => error,
    };
    let (before, rest) = bytes.split_at(error.valid_up_to());
    let before = String::from_utf8_lossy(before);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let hint = if is_utf16 { ", it looks like UTF-16" } else { "" };
    let byte = rest.first().copied().unwrap_or_default();
    Err(Utf8Error {
        line: before.matches('\n').count() + 1,
        column: line.chars().count() + 1,
        message: format!("the file is not UTF-8{hint}: the byte 0x{byte:02x}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_has_the_first_invalid_byte_and_its_position() {
        let error = |bytes: &[u8]| text(bytes).unwrap_err().to_string();
        let latin1 = error(b"a = 1\n\xc3\xa9 = \"caf\xe9\"\n");
        assert_eq!(latin1, "the file is not UTF-8: the byte 0xe9 in line 2, column 9; save the file as UTF-8");
        assert!(
            error(b"\xff\xfea\0").starts_with("the file is not UTF-8, it looks like UTF-16: the byte 0xff in line 1")
        );
    }

    #[test]
    fn a_byte_order_mark_is_removed() {
        assert_eq!(text("\u{feff}café".as_bytes()), Ok("café"));
        assert_eq!(text(b""), Ok(""));
    }
}
