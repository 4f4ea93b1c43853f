//! Errors of reading a Dockerfile. Each says where, what, and if possible what to do.

use std::fmt;

use crate::ast::Span;

/// The file cannot be read as a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The part that is wrong.
    pub span: Span,
    /// What is wrong, worded as BuildKit does, without line numbers.
    pub message: String,
    /// What may have been meant.
    pub hint: Option<String>,
}

impl ParseError {
    /// An error without a hint.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    /// Adds a hint.
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.span.start_line > 0 {
            write!(f, "dockerfile parse error on line {}: ", self.span.start_line)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

/// The option nearest to `word`, letter case aside, if it is near enough to be a slip of the finger. A word that is an
/// option needs none.
pub fn nearest<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    best(options, |option| edit_distance(&word, &option.to_lowercase()))
}

/// `did you mean X?` for the option that [`nearest`] finds, in the letter case of the word.
pub fn did_you_mean<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let option = nearest(word, options)?;
    let upper = word == word.to_uppercase() && word != word.to_lowercase();
    let option = if upper { option.to_uppercase() } else { option.to_lowercase() };
    Some(format!("did you mean {option}?"))
}

/// `did you mean X?` for the nearest option where letter case counts.
pub fn did_you_mean_exactly<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<String> {
    best(options, |option| edit_distance(word, option)).map(|option| format!("did you mean {option}?"))
}

fn best<'a>(options: impl IntoIterator<Item = &'a str>, distance: impl Fn(&str) -> usize) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for option in options {
        let distance = distance(option);
        if distance == 0 {
            return None;
        }
        if distance < 3 && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, option));
        }
    }
    best.map(|(_, option)| option)
}

fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in right.iter().enumerate() {
            let above = row[column + 1];
            row[column + 1] = if a == *b { diagonal } else { 1 + diagonal.min(above).min(row[column]) };
            diagonal = above;
        }
    }
    row[right.len()]
}
