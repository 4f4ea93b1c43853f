//! JSON text as Go's `encoding/json` writes it: compact, with `<`, `>`, `&` and the two Unicode line
//! separators escaped. Everything that becomes a blob is written by this, so that configs come out as other
//! tools write them.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

struct GoFormatter(CompactFormatter);

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut start = 0;
        for (at, character) in fragment.char_indices() {
            let escape = match character {
                '<' => "\\u003c",
                '>' => "\\u003e",
                '&' => "\\u0026",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                _ => continue,
            };
            writer.write_all(&fragment.as_bytes()[start..at])?;
            writer.write_all(escape.as_bytes())?;
            start = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[start..])
    }
}

/// Writes a document as Go would.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(1024);
    value.serialize(&mut Serializer::with_formatter(&mut bytes, GoFormatter(CompactFormatter)))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn escapes_as_go_does() {
        let text = "a && b > c < d \u{2028}é\"\\\n\u{1}";
        assert_eq!(
            to_vec(text).unwrap(),
            "\"a \\u0026\\u0026 b \\u003e c \\u003c d \\u2028é\\\"\\\\\\n\\u0001\"".as_bytes()
        );
    }
}
