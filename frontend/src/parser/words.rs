//! Splitting of a logical line: keyword, flags, words.

use std::ops::Range;

/// A word and its place in the logical line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// The word; quotes and escapes are kept unless said otherwise.
    pub(crate) text: String,
    /// Its bytes in the logical line, quotes included.
    pub(crate) range: Range<usize>,
}

/// A flag with quotes and escapes removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawFlag {
    /// Name without dashes.
    pub(crate) name: String,
    /// What follows `=`.
    pub(crate) value: Option<Word>,
    /// The whole word.
    pub(crate) range: Range<usize>,
}

/// The part of `range` without white space at its ends.
pub(super) fn trim(line: &str, range: Range<usize>) -> Range<usize> {
    let text = &line[range.clone()];
    let start = range.start + (text.len() - text.trim_start().len());
    let trimmed = text.trim();
    start.min(range.end)..(start + trimmed.len()).min(range.end)
}

/// Blanks between words of the simple lists: not all that Unicode calls white space.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x0b | 0x0c | b'\r' | b' ')
}

/// Cuts at the first run of blanks.
pub(super) fn split_first(line: &str, range: Range<usize>) -> (Range<usize>, Option<Range<usize>>) {
    let bytes = &line.as_bytes()[range.clone()];
    let Some(cut) = bytes.iter().position(|byte| is_separator(*byte)) else { return (range, None) };
    let blanks = bytes[cut..].iter().take_while(|byte| is_separator(**byte)).count();
    (range.start..range.start + cut, Some(range.start + cut + blanks..range.end))
}

/// Words between blanks; quotes mean nothing.
pub(super) fn blank_words(line: &str, range: Range<usize>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = Some(trim(line, range));
    while let Some(range) = rest {
        let (word, behind) = split_first(line, range);
        if !word.is_empty() {
            words.push(Word { text: line[word.clone()].to_owned(), range: word });
        }
        rest = behind;
    }
    words
}

/// Words between white space that is neither quoted nor escaped. Quotes and escapes stay in the words; an escape
/// character at the very end is dropped.
pub(super) fn quoted_words(line: &str, range: Range<usize>, escape: char) -> Vec<Word> {
    let base = range.start;
    let text = &line[range];
    let mut words = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut end = start;
        let mut quote = None;
        let mut current = Some((start, first));
        while let Some((at, c)) = current {
            if quote.is_none() && c.is_whitespace() {
                break;
            }
            if c == escape && quote != Some('\'') {
                match chars.next() {
                    Some((next, escaped)) => end = next + escaped.len_utf8(),
                    None => break,
                }
            } else {
                end = at + c.len_utf8();
                match quote {
                    Some(open) if open == c => quote = None,
                    None if c == '\'' || c == '"' => quote = Some(c),
                    _ => {}
                }
            }
            current = chars.next();
        }
        if end > start {
            words.push(Word { text: text[start..end].to_owned(), range: base + start..base + end });
        }
    }
    words
}

/// Flags are told apart by ASCII blanks only: another one ends them.
fn is_ascii_blank(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ')
}

/// The flags at the start of `range`, and where the rest begins.
pub(super) fn flags(line: &str, range: Range<usize>, escape: char) -> (Vec<RawFlag>, usize) {
    let mut flags = Vec::new();
    let mut position = range.start;
    loop {
        let text = &line[position..range.end];
        position += text.len() - text.trim_start_matches(is_ascii_blank).len();
        if !line[position..range.end].starts_with("--") {
            return (flags, position);
        }
        let (flag, end) = flag(line, position..range.end, escape);
        position = end;
        if flag.name.is_empty() && flag.value.is_none() {
            return (flags, position);
        }
        flags.push(flag);
    }
}

fn flag(line: &str, range: Range<usize>, escape: char) -> (RawFlag, usize) {
    let base = range.start;
    let text = &line[range];
    let mut word = String::new();
    let mut quote = None;
    let mut value_at = None;
    let mut end = text.len();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if is_ascii_blank(c) => {
                end = at;
                break;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {
                let literal = if c == escape { chars.next() } else { Some((at, c)) };
                let Some((at, literal)) = literal else { continue };
                if literal == '=' && value_at.is_none() {
                    value_at = Some((word.len() + 1, at + 1));
                }
                word.push(literal);
            }
        }
    }
    let value = value_at
        .map(|(cut, at)| Word { text: word[cut..].to_owned(), range: base + at.min(end)..base + end });
    let name_end = value_at.map_or(word.len(), |(cut, _)| cut - 1);
    let name = word[..name_end].strip_prefix("--").unwrap_or(&word[..name_end]).to_owned();
    (RawFlag { name, value, range: base..base + end }, base + end)
}
