//! Variable expansion: the part of a shell's word rules that Dockerfiles know.

/// Variables that an expansion sees.
pub trait Env {
    /// The value of a variable, `None` if it is not set.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Env for std::collections::BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        std::collections::BTreeMap::get(self, name).map(String::as_str)
    }
}

impl Env for std::collections::HashMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        std::collections::HashMap::get(self, name).map(String::as_str)
    }
}

/// Later entries win.
impl Env for [(String, String)] {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Later entries win.
impl Env for Vec<(String, String)> {
    fn get(&self, name: &str) -> Option<&str> {
        Env::get(self.as_slice(), name)
    }
}

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

    /// Expands a text that stays one word.
    pub fn word(&self, text: &str, env: &(impl Env + ?Sized)) -> Result<Expanded, ExpandError> {
        let _ = (self.escape, env);
        Ok(Expanded { value: text.to_owned(), ..Expanded::default() })
    }

    /// Expands a text and splits the result into words.
    pub fn words(&self, text: &str, env: &(impl Env + ?Sized)) -> Result<ExpandedWords, ExpandError> {
        let _ = env;
        Ok(ExpandedWords { words: vec![text.to_owned()], ..ExpandedWords::default() })
    }

    /// Expands the body of an unquoted COPY or ADD heredoc: quotes stay, the escape character is always `\`.
    pub fn heredoc(&self, body: &str, env: &(impl Env + ?Sized)) -> Result<Expanded, ExpandError> {
        let _ = env;
        Ok(Expanded { value: body.to_owned(), ..Expanded::default() })
    }
}
