//! Heredoc markers in a line.
//!
//! The line is read as a shell would read it, always with `\` as the escape character; each word that is a marker
//! announces a body. A line that cannot be read that way (an open quote, a bad substitution) has no heredocs.

use crate::expand::{ExpandError, Lexer, NoEnv};

/// `<<NAME`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The end word without quotes.
    pub(crate) name: String,
    /// No part of the end word is quoted.
    pub(crate) expand: bool,
    /// `<<-`
    pub(crate) chomp: bool,
    /// Digits before `<<`.
    pub(crate) fd: u32,
}

/// The markers of a line, in order.
pub(super) fn markers(line: &str) -> Result<Vec<Marker>, ExpandError> {
    let lexer = Lexer { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Lexer::new('\\') };
    let Ok(words) = lexer.run(line, &NoEnv) else { return Ok(Vec::new()) };
    let mut markers = Vec::new();
    for word in &words.words {
        markers.extend(parse_marker(word)?);
    }
    Ok(markers)
}

/// Reads a word as a marker; `None` if it is none, also if it cannot be read.
pub(crate) fn marker(word: &str) -> Option<Marker> {
    parse_marker(word).ok().flatten()
}

fn parse_marker(word: &str) -> Result<Option<Marker>, ExpandError> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (fd, rest) = word.split_at(digits);
    let Some(rest) = rest.strip_prefix("<<") else { return Ok(None) };
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start_matches(['\t', '\n', '\u{c}', '\r', ' ']);
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let plain = Lexer { keep_unset: true, ..Lexer::new('\\') };
    let [name] = &plain.run(rest, &NoEnv)?.words[..] else { return Ok(None) };
    let quoted = Lexer { raw_quotes: true, ..plain };
    let with_quotes = quoted.run(rest, &NoEnv)?.words.concat();
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    let fd = if fd.is_empty() { 0 } else { fd.parse().unwrap_or(u32::MAX) };
    Ok(Some(Marker { expand: quotes(name) == quotes(&with_quotes), name: name.clone(), chomp, fd }))
}
