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

/// The option nearest to `word`, if it is near enough to be a slip of the finger. A word that is an option needs none.
fn nearest<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for option in options {
        let distance = edit_distance(word, option);
        if distance == 0 {
            return None;
        }
        if distance < 3 && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, option));
        }
    }
    best.map(|(_, option)| option)
}

/// The nearest option, letter case aside, in the case of the word.
pub fn suggestion<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = word.to_lowercase();
    let options: Vec<String> = options.into_iter().map(str::to_lowercase).collect();
    let found = nearest(&lower, options.iter().map(String::as_str))?;
    Some(if word == word.to_uppercase() && word != lower { found.to_uppercase() } else { found.to_owned() })
}

/// `did you mean X?` for the nearest option, letter case aside.
pub fn did_you_mean<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<String> {
    suggestion(word, options).map(|option| format!("did you mean {option}?"))
}

/// `did you mean X?` for the nearest option.
pub fn did_you_mean_exactly<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, options).map(|option| format!("did you mean {option}?"))
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
