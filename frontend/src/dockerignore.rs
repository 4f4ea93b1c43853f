//! Ignore files and exclusion patterns.
//!
//! Owns: the reading rules of `.dockerignore` and the matcher for its patterns, which `--exclude` of COPY and ADD
//! shares. All patterns are tried in order and the last that matches decides; a pattern that matches a directory
//! matches what is below it; `!` takes files back, even from an excluded directory, so that a walk must go on below
//! directories for which [`Matcher::may_have_reincluded_below`] holds. Touches no file.

mod glob;
#[cfg(test)]
mod tests;

use crate::gopath;
use glob::Glob;

/// Why patterns were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IgnoreError {
    /// `!` alone.
    #[error("illegal exclusion pattern: \"!\"")]
    LoneExclamation {
        /// Line of the ignore file, from 1; the pattern's place in a list otherwise.
        line: u32,
    },
    /// A bracket that is not closed, a lone backslash at the end, and the like.
    #[error("syntax error in pattern \"{pattern}\"")]
    BadPattern {
        /// The pattern, as written.
        pattern: String,
        /// Line of the ignore file, from 1; the pattern's place in a list otherwise.
        line: u32,
    },
}

/// One pattern that takes part in matching.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As written, `!` included, blanks trimmed.
    pub text: String,
    /// Line of the ignore file, from 1; its place in the list for patterns that are not from a file.
    pub line: u32,
    /// True for `!`: matching files are taken back.
    pub reincludes: bool,
    glob: Glob,
}

/// What a directory matched: for each pattern, whether it matches the directory or one above it. The default value
/// stands for the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParentInfo {
    matched: Vec<bool>,
}

/// An ordered list of patterns.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    patterns: Vec<Pattern>,
    name: Option<String>,
}

impl Matcher {
    /// Reads an ignore file: a byte order mark is dropped, a line with `#` in its first column is a comment, blanks
    /// around patterns and behind `!` are trimmed, paths are cleaned, a leading slash means nothing.
    pub fn from_file(text: &[u8]) -> Result<Matcher, IgnoreError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let text = String::from_utf8_lossy(text);
        let mut patterns = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let trimmed = line.trim();
            if line.starts_with('#') || trimmed.is_empty() {
                continue;
            }
            let (bang, path) = match trimmed.strip_prefix('!') {
                Some(path) => ("!", path.trim()),
                None => ("", trimmed),
            };
            let path = if path.is_empty() { String::new() } else { gopath::clean_str(path) };
            let path = if path.len() > 1 { path.strip_prefix('/').unwrap_or(&path) } else { &path };
            patterns.extend(compile(&format!("{bang}{path}"), trimmed, number)?);
        }
        Ok(Matcher { patterns, name: None })
    }

    /// Takes patterns one by one, as `--exclude` gives them.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Matcher, IgnoreError> {
        let mut compiled = Vec::new();
        for (pattern, number) in patterns.iter().zip(1..) {
            compiled.extend(compile(pattern.as_ref(), pattern.as_ref().trim(), number)?);
        }
        Ok(Matcher { patterns: compiled, name: None })
    }

    /// Names the file that the patterns are from, for messages.
    #[must_use]
    pub fn named(self, name: &str) -> Matcher {
        Matcher { name: Some(name.to_owned()), ..self }
    }

    /// The file that the patterns are from, if it has a name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// True if nothing is ever excluded.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// True if some pattern takes files back.
    pub fn has_reincludes(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.reincludes)
    }

    /// The patterns in order.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whether `path` (relative, clean, with slashes) is excluded, given what its parent directory matched.
    pub fn matches(&self, path: &[u8], parent: &ParentInfo) -> bool {
        self.deciding(path, parent).is_some_and(|pattern| !pattern.reincludes)
    }

    /// As [`Matcher::matches`] for a directory: also tells what its children need.
    pub fn enter(&self, path: &[u8], parent: &ParentInfo) -> (bool, ParentInfo) {
        // Every pattern is tried, also those that cannot change this answer: they may decide for a child.
        let matched: Vec<bool> = (0..self.patterns.len()).map(|at| self.hit(at, path, parent)).collect();
        let last = matched.iter().rposition(|hit| *hit).map(|at| &self.patterns[at]);
        (last.is_some_and(|pattern| !pattern.reincludes), ParentInfo { matched })
    }

    /// Whether `path` is excluded, by itself or with one of its parents.
    pub fn is_excluded(&self, path: &[u8]) -> bool {
        self.explain(path).is_some_and(|pattern| !pattern.reincludes)
    }

    /// The pattern that decides about `path`: the last one that matches it or one of its parents.
    pub fn explain(&self, path: &[u8]) -> Option<&Pattern> {
        let mut parent = ParentInfo::default();
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            parent = self.enter(&path[..at], &parent).1;
        }
        self.deciding(path, &parent)
    }

    /// Whether something below the excluded directory `dir` may be taken back, so that it must be walked.
    /// May say yes for nothing, never no for something.
    pub fn may_have_reincluded_below(&self, dir: &[u8]) -> bool {
        self.patterns.iter().any(|pattern| {
            pattern.reincludes && {
                let prefix = pattern.glob.literal_prefix();
                let shared = prefix.iter().zip(dir.iter().chain(b"/")).all(|(a, b)| a == b);
                // A pattern without wildcards matches one path only, which must be longer than the directory's.
                shared && (pattern.glob.has_wildcard() || prefix.len() > dir.len() + 1)
            }
        })
    }

    fn deciding(&self, path: &[u8], parent: &ParentInfo) -> Option<&Pattern> {
        (0..self.patterns.len()).rev().find(|at| self.hit(*at, path, parent)).map(|at| &self.patterns[at])
    }

    fn hit(&self, at: usize, path: &[u8], parent: &ParentInfo) -> bool {
        parent.matched.get(at).copied().unwrap_or(false) || self.patterns[at].glob.matches(path)
    }
}

/// Trims, cleans and compiles one pattern; blank ones vanish.
fn compile(pattern: &str, written: &str, line: u32) -> Result<Option<Pattern>, IgnoreError> {
    let pattern = pattern.trim();
    if pattern.is_empty() {
        return Ok(None);
    }
    let cleaned = gopath::clean_str(pattern);
    let (reincludes, path) = match cleaned.strip_prefix('!') {
        Some("") => return Err(IgnoreError::LoneExclamation { line }),
        Some(path) => (true, path),
        None => (false, cleaned.as_str()),
    };
    let bad = || IgnoreError::BadPattern { pattern: written.to_owned(), line };
    gopath::matches(path.as_bytes(), b".").map_err(|_| bad())?;
    let glob = Glob::compile(path).map_err(|_| bad())?;
    Ok(Some(Pattern { text: written.to_owned(), line, reincludes, glob }))
}
