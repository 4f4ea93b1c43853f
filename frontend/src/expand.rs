//! Variable expansion: the part of a shell's word rules that Dockerfiles know.
//!
//! [`Expander`] is what the planner uses: one word, several words, a heredoc body, a text to be shown. All of them
//! are runs of one [`Lexer`] with different switches; `${x#…}`, `${x%…}` and `${x/…}` stand in [`pattern`].
//!
//! Must not: know instructions. Nesting is bounded, so that no text can exhaust the stack, and so is what variables
//! bring into one text and into all texts of a file, so that none can exhaust the memory.

use std::cell::Cell;

mod env;
mod lexer;
mod pattern;
#[cfg(test)]
mod tests;

pub use env::Env;
pub(crate) use env::NoEnv;
pub(crate) use lexer::Lexer;
use lexer::Outcome;

/// The result of expanding one text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    /// The text, quotes and escapes removed.
    pub value: String,
    /// Names that were looked up and are not set, in order, each once.
    pub unmatched: Vec<String>,
    /// Names that were looked up and are set, in order, each once.
    pub used: Vec<String>,
}

/// The result of expanding one text into words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExpandedWords {
    /// The words; blanks that came out of variables split, too.
    pub words: Vec<String>,
    /// As in [`Expanded`].
    pub unmatched: Vec<String>,
    /// As in [`Expanded`].
    pub used: Vec<String>,
}

/// The text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {text:?}: {message}")]
pub struct ExpandError {
    /// The text that was to be expanded.
    pub text: String,
    /// What is wrong with it.
    pub message: String,
}

/// How many bytes variables may bring into the texts of one file together.
const MAX_TOTAL_BYTES: usize = 64 << 20;

/// Expands texts by the rules of one file.
#[derive(Debug, Clone)]
pub struct Expander {
    escape: char,
    left: Cell<usize>,
}

impl Expander {
    /// An expander for files with this escape character.
    pub fn new(escape: char) -> Self {
        Self { escape, left: Cell::new(MAX_TOTAL_BYTES) }
    }

    /// Counts bytes that copies of variables take elsewhere.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), String> {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or_else(|| format!("the file's variables take more than {MAX_TOTAL_BYTES} bytes"))
    }

    fn run(&self, lexer: Lexer, text: &str, env: &(impl Env + ?Sized)) -> Result<Outcome, ExpandError> {
        let outcome = lexer.run(text, env)?;
        self.charge(outcome.added).map_err(|message| ExpandError { text: text.to_owned(), message })?;
        Ok(outcome)
    }

    /// Expands a text that stays one word, blanks and all.
    pub fn word(&self, text: &str, env: &(impl Env + ?Sized)) -> Result<Expanded, ExpandError> {
        Ok(self.run(Lexer::new(self.escape), text, env)?.into_expanded())
    }

    /// Expands a text and splits the result at blanks that are not quoted.
    pub fn words(&self, text: &str, env: &(impl Env + ?Sized)) -> Result<ExpandedWords, ExpandError> {
        let outcome = self.run(Lexer::new(self.escape), text, env)?;
        Ok(ExpandedWords { words: outcome.words, unmatched: outcome.unmatched, used: outcome.used })
    }

    /// Expands the body of an unquoted COPY or ADD heredoc: quotes mean nothing, the escape character is always `\`.
    pub fn heredoc(&self, body: &str, env: &(impl Env + ?Sized)) -> Result<Expanded, ExpandError> {
        let lexer = Lexer { plain_quotes: true, ..Lexer::new('\\') };
        Ok(self.run(lexer, body, env)?.into_expanded())
    }

    /// Expands a text for people to read: quotes stay, and so do variables that are not set. What cannot be expanded
    /// is shown as it is.
    pub fn display(&self, text: &str, env: &(impl Env + ?Sized)) -> String {
        let lexer = Lexer { raw_quotes: true, keep_unset: true, ..Lexer::new(self.escape) };
        lexer.run(text, env).map_or_else(|_| text.to_owned(), |outcome| outcome.value)
    }
}
