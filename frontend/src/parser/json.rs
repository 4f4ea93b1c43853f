//! The JSON form of arguments: an array of strings.

use std::ops::Range;

/// Why a text is no array of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotStrings {
    /// It is no JSON array at all: the text is taken as it stands.
    NotAnArray,
    /// It is an array that holds something else than strings: an error.
    OtherElements,
}

/// The strings of an array with their places (quotes included) in `text`.
pub(super) fn string_array(text: &str) -> Result<Vec<(String, Range<usize>)>, NotStrings> {
    let mut reader = Reader { text, position: 0 };
    let strings = reader.array();
    match strings {
        Ok(strings) => Ok(strings),
        Err(NotStrings::NotAnArray) => Err(NotStrings::NotAnArray),
        // Another element was met; whether it is JSON all the same decides.
        Err(NotStrings::OtherElements) => match serde_json::from_str::<Vec<serde::de::IgnoredAny>>(text) {
            Ok(_) => Err(NotStrings::OtherElements),
            Err(_) => Err(NotStrings::NotAnArray),
        },
    }
}

struct Reader<'a> {
    text: &'a str,
    position: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.position), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.position += 1;
        }
        bytes.get(self.position).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn array(&mut self) -> Result<Vec<(String, Range<usize>)>, NotStrings> {
        if !self.take(b'[') {
            return Err(NotStrings::NotAnArray);
        }
        let mut strings = Vec::new();
        if !self.take(b']') {
            loop {
                match self.peek() {
                    Some(b'"') => strings.push(self.string().ok_or(NotStrings::NotAnArray)?),
                    _ => return Err(NotStrings::OtherElements),
                }
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return Err(NotStrings::NotAnArray);
                }
            }
        }
        if self.peek().is_some() { Err(NotStrings::NotAnArray) } else { Ok(strings) }
    }

    fn string(&mut self) -> Option<(String, Range<usize>)> {
        let start = self.position;
        let mut value = String::new();
        let mut chars = self.text.get(start + 1..)?.char_indices();
        loop {
            let (at, c) = chars.next()?;
            match c {
                '"' => {
                    self.position = start + 1 + at + 1;
                    return Some((value, start..self.position));
                }
                '\0'..='\u{1f}' => return None,
                '\\' => match chars.next()?.1 {
                    'b' => value.push('\u{8}'),
                    'f' => value.push('\u{c}'),
                    'n' => value.push('\n'),
                    'r' => value.push('\r'),
                    't' => value.push('\t'),
                    'u' => value.push(unicode(&mut chars)?),
                    c @ ('"' | '\\' | '/') => value.push(c),
                    _ => return None,
                },
                c => value.push(c),
            }
        }
    }
}

/// The character of `\u` and four digits; half a surrogate pair becomes U+FFFD.
fn unicode(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    let first = four_digits(chars)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some(char::from_u32(first).unwrap_or('\u{fffd}'));
    }
    let mut ahead = chars.clone();
    let second = (ahead.next().is_some_and(|(_, c)| c == '\\')
        && ahead.next().is_some_and(|(_, c)| c == 'u'))
    .then(|| four_digits(&mut ahead))
    .flatten();
    match second {
        Some(second) if (0xdc00..0xe000).contains(&second) => {
            *chars = ahead;
            char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
        }
        _ => Some('\u{fffd}'),
    }
}

fn four_digits(chars: &mut std::str::CharIndices<'_>) -> Option<u32> {
    let mut value = 0;
    for _ in 0..4 {
        value = value * 16 + chars.next()?.1.to_digit(16)?;
    }
    Some(value)
}
