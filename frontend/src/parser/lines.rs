//! Physical and logical lines.
//!
//! A logical line is what an instruction is read from: physical lines joined at continuations. It remembers for each
//! of its bytes where in the file that byte stands, so that anything read from it has a true [`Span`].

use std::ops::Range;

use crate::ast::Span;
use crate::error::ParseError;

/// Longest line that is read, in bytes without its line break.
pub(super) const MAX_LINE_BYTES: usize = 65_535;

/// One physical line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// All bytes, the line break included.
    pub(super) raw: &'a [u8],
    /// Offset of the first byte.
    pub(super) start: usize,
    /// Number, counted from 1.
    pub(super) number: u32,
}

impl<'a> Line<'a> {
    /// Bytes without the line break (all trailing CR and LF).
    pub(super) fn text(&self) -> &'a [u8] {
        let mut text = self.raw;
        while let [rest @ .., b'\r' | b'\n'] = text {
            text = rest;
        }
        text
    }

    pub(super) fn span(&self) -> Span {
        Span {
            start_line: self.number,
            end_line: self.number,
            start: self.start,
            end: self.start + self.text().len(),
        }
    }
}

/// Reads a file line by line.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    position: usize,
    number: u32,
}

impl<'a> Lines<'a> {
    /// Starts behind a byte order mark.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let position = if bytes.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
        Self { bytes, position, number: 0 }
    }

    /// The next line.
    pub(super) fn next(&mut self) -> Result<Option<Line<'a>>, ParseError> {
        let rest = &self.bytes[self.position.min(self.bytes.len())..];
        if rest.is_empty() {
            return Ok(None);
        }
        let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        self.number = self.number.saturating_add(1);
        let line = Line { raw: &rest[..length], start: self.position, number: self.number };
        if line.raw.strip_suffix(b"\n").unwrap_or(line.raw).len() > MAX_LINE_BYTES {
            let message = format!("dockerfile line greater than max allowed size of {MAX_LINE_BYTES}");
            return Err(ParseError::new(line.span(), message));
        }
        self.position += length;
        Ok(Some(line))
    }

    /// The place behind the last line.
    pub(super) fn here(&self) -> Span {
        let line = self.number.max(1);
        Span { start_line: line, end_line: line, start: self.position, end: self.position }
    }
}

/// A piece of a logical line that stands in one piece in the file.
#[derive(Debug, Clone)]
struct Piece {
    at: usize,
    file: usize,
    file_length: usize,
    line: u32,
}

/// A logical line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logical {
    /// The text. What is not UTF-8 in the file is U+FFFD here.
    pub(crate) text: String,
    pieces: Vec<Piece>,
    last: Span,
}

impl Logical {
    /// Appends a part of a physical line.
    pub(super) fn push(&mut self, line: &Line<'_>, part: Range<usize>) {
        let mut file = line.start + part.start;
        self.last = line.span();
        let mut add = |text: &mut String, value: &str, file_length: usize| {
            self.pieces.push(Piece { at: text.len(), file, file_length, line: line.number });
            text.push_str(value);
            file += file_length;
        };
        for chunk in line.raw[part].utf8_chunks() {
            if !chunk.valid().is_empty() || chunk.invalid().is_empty() {
                add(&mut self.text, chunk.valid(), chunk.valid().len());
            }
            if !chunk.invalid().is_empty() {
                add(&mut self.text, "\u{fffd}", chunk.invalid().len());
            }
        }
    }

    /// The span of the last physical line.
    pub(super) fn last_line(&self) -> Span {
        self.last
    }

    /// Where a range of the text stands in the file.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        let Some(first) = self.piece(range.start) else { return self.last };
        let start = first.file + (range.start - first.at).min(first.file_length);
        if range.is_empty() {
            return Span { start_line: first.line, end_line: first.line, start, end: start };
        }
        let last = self.piece(range.end - 1).unwrap_or(first);
        let end = last.file + (range.end - last.at).min(last.file_length);
        Span { start_line: first.line, end_line: last.line, start, end: end.max(start) }
    }

    fn piece(&self, offset: usize) -> Option<&Piece> {
        let behind = self.pieces.partition_point(|piece| piece.at <= offset);
        // Empty pieces share their offset with the next one: the last of them is right.
        self.pieces.get(behind.saturating_sub(1))
    }
}

/// Bytes of leading white space, as Unicode knows it.
pub(super) fn leading_blank(text: &[u8]) -> usize {
    let Some(chunk) = text.utf8_chunks().next() else { return 0 };
    chunk.valid().len() - chunk.valid().trim_start().len()
}

/// Whether the first byte that is not blank is `#`; its offset.
pub(super) fn comment_start(text: &[u8]) -> Option<usize> {
    let blank = leading_blank(text);
    (text.get(blank) == Some(&b'#')).then_some(blank)
}

/// The length of the text before a continuation mark at its end, if there is one. A mark behind another escape
/// character is none.
pub(super) fn before_continuation(text: &[u8], escape: u8) -> Option<usize> {
    let blanks = text.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match &text[..text.len() - blanks] {
        [.., before, mark] if *mark == escape && *before != escape => Some(text.len() - blanks - 1),
        [mark] if *mark == escape => Some(0),
        _ => None,
    }
}
