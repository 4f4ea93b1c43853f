//! One instruction taken apart by the rules of its keyword, not yet checked.

use std::ops::Range;

use crate::ast::{Comment, Heredoc, Source, Span, Spanned, Text};
use crate::error::ParseError;

use super::json::{NotStrings, string_array};
use super::lines::Logical;
use super::words::{RawFlag, Word, blank_words, flags, quoted_words, split_first, trim};

/// An instruction as words.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) line: Logical,
    pub(crate) keyword: Word,
    pub(crate) flags: Vec<RawFlag>,
    pub(crate) args: Args,
    pub(crate) heredocs: Vec<Heredoc>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) span: Span,
}

/// Arguments, split as the keyword asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Args {
    /// Words, from a JSON array or not.
    Words { words: Vec<Word>, json: bool },
    /// Names with values.
    Pairs { pairs: Vec<(Word, Word)>, legacy: bool },
    /// A type word and its arguments.
    Typed { kind: Word, words: Vec<Word>, json: bool },
    /// Another instruction.
    Nested { keyword: Word, takes_heredocs: bool },
}

const STRINGS_ONLY: &str = "when using JSON array syntax, arrays must be comprised of strings only";

impl Node {
    /// Takes a logical line apart.
    pub(super) fn read(line: Logical, escape: char, comments: Vec<Comment>) -> Result<Self, ParseError> {
        let text = line.text.as_str();
        let (keyword, flags, rest) = split(text, 0..text.len(), escape);
        let span = line.span(trim(text, 0..text.len()));
        let args =
            arguments(text, &keyword, rest, escape).map_err(|message| ParseError::new(span, message))?;
        Ok(Self { keyword, flags, args, heredocs: Vec::new(), comments, span, line })
    }

    /// Whether markers in the line announce heredocs.
    pub(super) fn takes_heredocs(&self) -> bool {
        match &self.args {
            Args::Nested { takes_heredocs, .. } => *takes_heredocs,
            Args::Words { json, .. } => !json && may_have_heredocs(&self.keyword.text),
            _ => false,
        }
    }

    /// Where a range of the line stands in the file.
    pub(crate) fn span_of(&self, range: &Range<usize>) -> Span {
        self.line.span(range.clone())
    }

    /// A word with its place.
    pub(crate) fn text(&self, word: &Word) -> Text {
        Spanned::new(word.text.clone(), self.span_of(&word.range))
    }

    /// An error about the whole line.
    pub(crate) fn error(&self, message: impl Into<String>) -> ParseError {
        let text = &self.line.text;
        ParseError::new(self.line.span(trim(text, 0..text.len())), message)
    }

    /// What all instructions keep of their text.
    pub(crate) fn source(&self) -> Source {
        let flags = self.flags.iter().map(|flag| crate::ast::Flag {
            name: flag.name.clone(),
            value: flag.value.as_ref().map(|value| self.text(value)),
            span: self.span_of(&flag.range),
        });
        Source {
            span: self.span,
            keyword: self.text(&self.keyword),
            original: self.line.text.trim().to_owned(),
            flags: flags.collect(),
            heredocs: self.heredocs.clone(),
            comments: self.comments.clone(),
        }
    }
}

fn may_have_heredocs(keyword: &str) -> bool {
    ["ADD", "COPY", "RUN"].iter().any(|name| keyword.eq_ignore_ascii_case(name))
}

/// Keyword, flags, rest without blanks around it.
fn split(text: &str, range: Range<usize>, escape: char) -> (Word, Vec<RawFlag>, Range<usize>) {
    let (keyword, rest) = split_first(text, trim(text, range));
    let end = keyword.end;
    let word = Word { text: text[keyword.clone()].to_owned(), range: keyword };
    let Some(rest) = rest else { return (word, Vec::new(), end..end) };
    let (flags, start) = flags(text, rest.clone(), escape);
    (word, flags, trim(text, start..rest.end))
}

fn arguments(text: &str, keyword: &Word, rest: Range<usize>, escape: char) -> Result<Args, String> {
    let upper = keyword.text.to_ascii_uppercase();
    let plain = |words| Ok(Args::Words { words, json: false });
    match upper.as_str() {
        "ADD" | "COPY" | "VOLUME" => {
            let (words, json) = json_or(text, rest, blank_words)?;
            Ok(Args::Words { words, json })
        }
        "CMD" | "ENTRYPOINT" | "RUN" | "SHELL" => {
            let (words, json) = json_or(text, rest, whole)?;
            Ok(Args::Words { words, json })
        }
        "EXPOSE" | "FROM" => plain(blank_words(text, rest)),
        "ENV" | "LABEL" => pairs(text, &upper, rest, escape),
        "ARG" => plain(quoted_words(text, rest, escape)),
        "HEALTHCHECK" => {
            let length = text[rest.clone()].bytes().take_while(|b| !matches!(b, 9..=13 | b' ')).count();
            let kind = rest.start..rest.start + length;
            if kind.is_empty() {
                return plain(Vec::new());
            }
            let (words, json) = json_or(text, trim(text, kind.end..rest.end), whole)?;
            Ok(Args::Typed { kind: Word { text: text[kind.clone()].to_owned(), range: kind }, words, json })
        }
        "ONBUILD" if !rest.is_empty() => {
            let (keyword, _, rest) = split(text, rest, escape);
            let takes_heredocs = if keyword.text.eq_ignore_ascii_case("ONBUILD") {
                false
            } else {
                let args = arguments(text, &keyword, rest, escape)?;
                may_have_heredocs(&keyword.text) && !matches!(args, Args::Words { json: true, .. })
            };
            Ok(Args::Nested { keyword, takes_heredocs })
        }
        _ => plain(whole(text, rest)),
    }
}

/// The rest as one word; none if it is empty.
fn whole(text: &str, range: Range<usize>) -> Vec<Word> {
    if range.is_empty() { Vec::new() } else { vec![Word { text: text[range.clone()].to_owned(), range }] }
}

/// A JSON array of strings, or what `other` makes of the text.
fn json_or(
    text: &str,
    range: Range<usize>,
    other: fn(&str, Range<usize>) -> Vec<Word>,
) -> Result<(Vec<Word>, bool), String> {
    match string_array(&text[range.clone()]) {
        Ok(strings) => {
            let word = |(value, at): (String, Range<usize>)| Word {
                text: value,
                range: range.start + at.start..range.start + at.end,
            };
            Ok((strings.into_iter().map(word).collect(), true))
        }
        Err(NotStrings::OtherElements) => Err(STRINGS_ONLY.to_owned()),
        Err(NotStrings::NotAnArray) => Ok((other(text, range), false)),
    }
}

fn pairs(text: &str, keyword: &str, range: Range<usize>, escape: char) -> Result<Args, String> {
    let words = quoted_words(text, range.clone(), escape);
    if words.first().is_some_and(|first| !first.text.contains('=')) {
        let (name, value) = split_first(text, range);
        let Some(value) = value else { return Err(format!("{keyword} must have two arguments")) };
        let word = |range: Range<usize>| Word { text: text[range.clone()].to_owned(), range };
        return Ok(Args::Pairs { pairs: vec![(word(name), word(value))], legacy: true });
    }
    let mut pairs = Vec::new();
    for word in words {
        let Some((name, value)) = word.text.split_once('=') else {
            return Err(format!(
                "Syntax error - can't find = in {:?}. Must be of the form: name=value",
                word.text
            ));
        };
        let cut = word.range.start + name.len();
        pairs.push((
            Word { text: name.to_owned(), range: word.range.start..cut },
            Word { text: value.to_owned(), range: cut + 1..word.range.end },
        ));
    }
    Ok(Args::Pairs { pairs, legacy: false })
}
