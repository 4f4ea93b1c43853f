//! Variable expansion: the part of a shell's word rules that Dockerfiles know.
//!
//! [`Expander`] is what the planner uses: one word, several words, a heredoc body, a text to be shown. All of them
//! are runs of one [`Lexer`] with different switches; `${x#…}`, `${x%…}` and `${x/…}` stand in [`pattern`].
//!
//! Must not: know instructions. Nesting is bounded, so that no text can exhaust the stack.

mod env;
mod lexer;
mod pattern;
#[cfg(test)]
mod tests;

pub use env::Env;
pub(crate) use env::NoEnv;
pub(crate) use lexer::Lexer;

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

/// Expands texts by the rules of one file.
#[derive(Debug, Clone)]
pub struct Expander {
    escape: char,
}

impl Expander {
    /// An expander for files with this escape character.
    pub fn new(escape: char) -> Self {
        Self { escape }
    }

    /// Expands a text that stays one word, blanks and all.
    pub fn word(&self, text: &str, env: &(impl Env + ?Sized)) -> Result<Expanded, ExpandError> {
        Ok(Lexer::new(self.escape).run(text, env)?.into_expanded())
    }

    /// Expands a text and splits the result at blanks that are not quoted.
    pub fn words(&self, text: &str, env: &(impl Env + ?Sized)) -> Result<ExpandedWords, ExpandError> {
        let outcome = Lexer::new(self.escape).run(text, env)?;
        Ok(ExpandedWords { words: outcome.words, unmatched: outcome.unmatched, used: outcome.used })
    }

    /// Expands the body of an unquoted COPY or ADD heredoc: quotes mean nothing, the escape character is always `\`.
    pub fn heredoc(&self, body: &str, env: &(impl Env + ?Sized)) -> Result<Expanded, ExpandError> {
        Ok(Lexer { plain_quotes: true, ..Lexer::new('\\') }.run(body, env)?.into_expanded())
    }

    /// Expands a text for people to read: quotes stay, and so do variables that are not set. What cannot be expanded
    /// is shown as it is.
    pub fn display(&self, text: &str, env: &(impl Env + ?Sized)) -> String {
        let lexer = Lexer { raw_quotes: true, keep_unset: true, ..Lexer::new(self.escape) };
        lexer.run(text, env).map_or_else(|_| text.to_owned(), |outcome| outcome.value)
    }
}
