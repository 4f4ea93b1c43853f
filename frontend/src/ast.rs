//! The syntax tree of a Dockerfile.
//!
//! Owns the data types that the parser fills and that the planner, the linter and the printer read. Nothing is
//! expanded here: every text in which variables may stand is kept as it was written (quotes and escapes included),
//! together with its [`Span`], and is expanded by the planner with [`crate::expand::Expander`].
//!
//! Must not: depend on the parser, on the planner, or on anything outside the file's text.

use std::fmt;

mod command;
mod mount;

pub use command::{
    Add, Arg, ArgDefinition, Command, Copy, CopySource, EnvLabel, From, Healthcheck, HealthcheckTest,
    OnBuild, Pair, Run, ShellOrExec, StageName, Volume,
};
pub use mount::{Device, MountFlag, MountType, MountValues, Sharing};

/// A range of the file: lines for people, bytes for tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// First line, counted from 1; 0 only in a default (absent) span.
    pub start_line: u32,
    /// Last line that the range touches (inclusive).
    pub end_line: u32,
    /// Offset of the first byte in the file as it was given, a byte order mark included.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl Span {
    /// The smallest range that holds both.
    pub fn join(self, other: Self) -> Self {
        Self {
            start_line: self.start_line.min(other.start_line),
            end_line: self.end_line.max(other.end_line),
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start_line == self.end_line {
            write!(f, "line {}", self.start_line)
        } else {
            write!(f, "lines {}-{}", self.start_line, self.end_line)
        }
    }
}

/// A value and the place that it was read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Puts a value and its place together.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T: AsRef<str>> Spanned<T> {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.value.as_ref()
    }
}

/// Text as written, not expanded.
pub type Text = Spanned<String>;

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// What the directives at the top say.
    pub directives: Directives,
    /// ARG instructions before the first FROM, in order; each is a [`Command::Arg`].
    pub global_args: Vec<Instruction>,
    /// The stages in order; never empty after a successful parse.
    pub stages: Vec<Stage>,
    /// Facts about the way things were written, for the linter.
    pub warnings: Vec<Warning>,
}

impl Dockerfile {
    /// The escape character: `\` unless the `escape` directive says `` ` ``.
    pub fn escape(&self) -> char {
        self.directives.escape.as_ref().map_or('\\', |escape| escape.value)
    }
}

/// Parser directives: `# key=value` lines at the very top.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directives {
    /// `# syntax=`: the whole value; its first word names a frontend image.
    pub syntax: Option<Text>,
    /// `# escape=`: `\` or `` ` ``.
    pub escape: Option<Spanned<char>>,
    /// `# check=`: settings of the linter.
    pub check: Option<Spanned<CheckOptions>>,
}

/// The value of a `check` directive or comment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckOptions {
    /// Rules to leave out.
    pub skip: Vec<String>,
    /// `skip=all`.
    pub skip_all: bool,
    /// Experimental rules to turn on.
    pub experimental: Vec<String>,
    /// `experimental=all`.
    pub experimental_all: bool,
    /// `error=true`: a violation fails the build.
    pub error: bool,
}

/// A FROM and all that follows it up to the next FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// How the FROM instruction was written.
    pub source: Source,
    /// What the FROM instruction says.
    pub from: From,
    /// The instructions after FROM.
    pub instructions: Vec<Instruction>,
    /// From the FROM keyword to the end of the last instruction.
    pub span: Span,
}

impl Stage {
    /// The stage's name in lower case, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.from.name.as_ref().map(|name| name.value.as_str())
    }
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// How it was written.
    pub source: Source,
    /// What it says.
    pub command: Command,
}

/// What all instructions have in common: their text and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The keyword up to the last byte, heredoc bodies and terminators included, without the final line break.
    pub span: Span,
    /// The keyword as written (`Run`, `copy`).
    pub keyword: Text,
    /// The instruction as one line: continuations joined, comments and blank lines between them removed, leading
    /// blanks dropped. Heredoc bodies are not part of it.
    pub original: String,
    /// Flags in order, as written.
    pub flags: Vec<Flag>,
    /// Heredocs in order of their markers.
    pub heredocs: Vec<Heredoc>,
    /// The block of comments that ends directly above the keyword.
    pub comments: Vec<Comment>,
}

impl Source {
    /// The instruction's text as ONBUILD stores it: the line, then each heredoc's body and name.
    pub fn text_with_heredocs(&self) -> String {
        with_heredocs(&self.original, &self.heredocs)
    }
}

pub(crate) fn with_heredocs(line: &str, heredocs: &[Heredoc]) -> String {
    let mut text = line.to_owned();
    for heredoc in heredocs {
        text.push('\n');
        text.push_str(&heredoc.text());
        text.push_str(&heredoc.name);
    }
    text
}

/// `--name` or `--name=value` after a keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Name without the dashes.
    pub name: String,
    /// Value without quotes and escapes of its own, not expanded; `None` without `=`.
    pub value: Option<Text>,
    /// The whole word.
    pub span: Span,
}

/// `<<NAME` with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The end word without quotes.
    pub name: String,
    /// Whether variables in the body are expanded: no part of the end word is quoted.
    pub expand: bool,
    /// `<<-`: leading tabs are stripped, see [`Heredoc::body`].
    pub chomp: bool,
    /// File descriptor before `<<`; 0 if none is written.
    pub fd: u32,
    /// The body as written, line breaks (also CR LF) included, tabs not stripped. Any bytes.
    pub content: Vec<u8>,
    /// Where the body stands; empty at the terminator for an empty body.
    pub span: Span,
}

impl Heredoc {
    /// The content as text, with U+FFFD in place of what is not UTF-8.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.content)
    }

    /// The content with leading tabs of each line removed if the marker asks for it.
    pub fn body(&self) -> Vec<u8> {
        strip_tabs(&self.content, self.chomp)
    }
}

/// The text with leading tabs of each line removed, if `chomp` is set.
pub(crate) fn strip_tabs(text: &[u8], chomp: bool) -> Vec<u8> {
    if !chomp {
        return text.to_vec();
    }
    let mut body = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let tabs = line.iter().take_while(|byte| **byte == b'\t').count();
        body.extend_from_slice(&line[tabs..]);
    }
    body
}

/// A comment line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Text after `#`, without blanks around it.
    pub text: String,
    /// From `#` to the end of the line.
    pub span: Span,
}

/// A fact about the writing that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Which fact.
    pub kind: WarningKind,
    /// Where.
    pub span: Span,
}

/// Facts that only the text shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// A blank line inside a continued instruction; the span is the instruction's last line.
    EmptyContinuation,
}
