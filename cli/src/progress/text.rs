//! Text from outside made fit for a terminal: output of steps, names, messages.
//!
//! Whatever a step writes, the result has no line break that we did not make and no control sequence except,
//! where asked for, colours. Bytes that are not UTF-8 become replacement characters.

use std::time::Duration;

/// A line longer than this is shown in pieces, so that memory stays bounded.
const LONGEST_LINE_BYTES: usize = 64 * 1024;

/// Whether colour sequences are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Kept, and reset at the end of the line.
    Keep,
    /// Dropped.
    Strip,
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct LineBuffer {
    pending: Vec<u8>,
}

impl LineBuffer {
    /// Takes bytes and hands out each line that they complete, without its line break.
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.pending.extend_from_slice(&bytes[..end]);
            line(&self.pending);
            self.pending.clear();
            bytes = &bytes[end + 1..];
        }
        for piece in bytes.chunks(LONGEST_LINE_BYTES) {
            self.pending.extend_from_slice(piece);
            if self.pending.len() >= LONGEST_LINE_BYTES {
                line(&self.pending);
                self.pending.clear();
            }
        }
    }

    /// Hands out what follows the last line break.
    pub fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.pending.is_empty() {
            line(&self.pending);
            self.pending.clear();
        }
    }
}

/// Makes one line printable. Of text that a carriage return overwrites only the last state is shown.
pub fn clean(bytes: &[u8], colour: Colour) -> String {
    let last = bytes.split(|b| *b == b'\r').rfind(|part| !part.is_empty()).unwrap_or_default();
    let text = String::from_utf8_lossy(last);
    if last.iter().all(|b| matches!(b, b' '..=b'~')) {
        return text.into_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut coloured = false;
    let mut column = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => match chars.next() {
                Some('[') => {
                    if let Some(sequence) = control_sequence(&mut chars)
                        && colour == Colour::Keep
                    {
                        coloured = true;
                        out.push_str(&sequence);
                    }
                }
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut chars),
                // Other escapes: intermediates, then one final character.
                Some(mut next) => {
                    while (' '..='/').contains(&next) {
                        match chars.next() {
                            Some(c) => next = c,
                            None => break,
                        }
                    }
                }
                None => {}
            },
            '\u{9b}' => {
                control_sequence(&mut chars);
            }
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut chars),
            '\t' => {
                let spaces = 8 - column % 8;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            c if c.is_control() => {}
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    if coloured {
        out.push_str("\x1b[0m");
    }
    out
}

/// Reads a control sequence to its end; gives it back if it only sets colours.
fn control_sequence(chars: &mut std::str::Chars<'_>) -> Option<String> {
    let mut parameters = Some(String::new());
    for c in chars {
        match c {
            '0'..='9' | ';' | ':' => match &mut parameters {
                Some(text) if text.len() < 64 => text.push(c),
                _ => parameters = None,
            },
            // Other parameters and intermediates: more than a colour.
            ' '..='?' => parameters = None,
            'm' => return parameters.map(|text| format!("\x1b[{text}m")),
            _ => return None,
        }
    }
    None
}

/// Skips an operating system command or another string up to its terminator.
fn skip_string(chars: &mut std::str::Chars<'_>) {
    let mut escaped = false;
    for c in chars {
        if matches!(c, '\x07' | '\u{9c}') || (escaped && c == '\\') {
            return;
        }
        escaped = c == '\x1b';
    }
}

/// Makes a message of one or more lines printable.
pub fn paragraph(text: &str) -> String {
    text.trim_end()
        .split('\n')
        .map(|line| clean(line.as_bytes(), Colour::Strip))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The first line of a name, marked if there are more.
pub fn title(name: &str) -> String {
    let mut lines = name.trim().lines();
    let first = clean(lines.next().unwrap_or_default().as_bytes(), Colour::Strip);
    if lines.next().is_some() { format!("{} …", first.trim_end()) } else { first }
}

/// A message that stands beside what it quotes: one line, the middle of a long one left out.
pub fn short(message: &str) -> String {
    const MOST: usize = 200;
    let line = title(message);
    let length = line.chars().count();
    if length <= MOST {
        return line;
    }
    let start: String = line.chars().take(MOST / 2).collect();
    let end: String = line.chars().skip(length - MOST / 2).collect();
    format!("{start} … {end}")
}

/// Seconds as builders print them.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1}s", duration.as_secs_f64())
}

/// A size for people, in powers of 1000.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes}B");
    }
    let mut unit = 0;
    let mut scale = 1_u64;
    while bytes / scale >= 1000 && unit + 1 < UNITS.len() {
        scale *= 1000;
        unit += 1;
    }
    // Two digits after the point, cut, not rounded: a size must not look larger than it is.
    let hundredths = u128::from(bytes) * 100 / u128::from(scale);
    format!("{}.{:02}{}", hundredths / 100, hundredths % 100, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut buffer = LineBuffer::default();
        let mut out = Vec::new();
        for piece in pieces {
            buffer.push(piece, |line| out.push(String::from_utf8_lossy(line).into_owned()));
        }
        buffer.finish(|line| out.push(String::from_utf8_lossy(line).into_owned()));
        out
    }

    #[test]
    fn lines_do_not_depend_on_how_bytes_arrive() {
        let whole = b"one\n\ntwo\r\nthree";
        let want = lines(&[whole]);
        assert_eq!(want, ["one", "", "two\r", "three"]);
        for at in 0..whole.len() {
            assert_eq!(lines(&[&whole[..at], &whole[at..]]), want, "cut at {at}");
        }
    }

    #[test]
    fn endless_lines_come_in_pieces() {
        let long = vec![b'x'; 3 * LONGEST_LINE_BYTES + 5];
        let got = lines(&[&long]);
        assert_eq!(got.len(), 4);
        assert_eq!(got.concat().len(), long.len());
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let table: &[(&[u8], &str)] = &[
            (b"plain", "plain"),
            (b"caf\xc3\xa9", "caf\u{e9}"),
            (b"bad \xff byte", "bad \u{fffd} byte"),
            (b"\x1b[31mred\x1b[0m", "red"),
            (b"\x1b[2J\x1b[1;1Hhome", "home"),
            (b"\x1b[?25lhidden", "hidden"),
            (b"\x1b]0;title\x07text", "text"),
            (b"\x1b]8;;http://x\x1b\\link", "link"),
            (b"\x1bP1;2|x\x1b\\after", "after"),
            (b"\x1b(Bcharset", "charset"),
            (b"\x1bcreset", "reset"),
            (b"\xc2\x9b2Jc1", "c1"),
            (b"a\x08\x00\x7fb", "ab"),
            (b"a\tb", "a       b"),
            (b"10%\r20%\r30%\r", "30%"),
            (b"windows\r", "windows"),
            (b"cut \x1b", "cut "),
            (b"cut \x1b[1", "cut "),
            (b"\r", ""),
        ];
        for (bytes, want) in table {
            assert_eq!(clean(bytes, Colour::Strip), *want, "{bytes:?}");
        }
    }

    #[test]
    fn colours_alone_can_be_kept() {
        assert_eq!(clean(b"\x1b[1;31mred\x1b[K", Colour::Keep), "\x1b[1;31mred\x1b[0m");
        assert_eq!(clean(b"\x1b[?1mno\x1b[2J", Colour::Keep), "no".to_owned());
    }

    #[test]
    fn titles_are_one_line() {
        assert_eq!(title("[1/2] RUN <<EOF\necho\nEOF"), "[1/2] RUN <<EOF …");
        assert_eq!(title("[1/2] RUN x\n"), "[1/2] RUN x");
    }

    #[test]
    fn long_messages_keep_both_ends() {
        assert_eq!(short("fine"), "fine");
        let long = format!("process \"{}\" did not complete: exit code: 7", "\u{e9}".repeat(3000));
        let got = short(&long);
        assert!(
            got.starts_with("process") && got.ends_with("exit code: 7") && got.chars().count() == 203,
            "{got}"
        );
    }

    #[test]
    fn sizes() {
        for (bytes, want) in
            [(0, "0B"), (999, "999B"), (1000, "1.00kB"), (1_239_999, "1.23MB"), (5_000_000_000, "5.00GB")]
        {
            assert_eq!(size(bytes), want);
        }
    }
}
