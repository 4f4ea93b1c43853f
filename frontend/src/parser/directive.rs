//! Parser directives: `# key=value` at the very top of a file, and `# check=` comments above an instruction.

use crate::ast::{CheckOptions, Directives, Spanned};
use crate::error::ParseError;

use super::lines::{Line, Lines, comment_start};

/// Reads directives until the first line that is none.
#[derive(Debug, Default)]
pub(super) struct DirectiveReader {
    done: bool,
    found: Directives,
    escape_seen: bool,
}

impl DirectiveReader {
    /// Looks at the next line. True if it is a directive.
    pub(super) fn line(&mut self, line: &Line<'_>) -> Result<bool, ParseError> {
        if self.done {
            return Ok(false);
        }
        let text = line.text();
        let pair = comment_start(text).and_then(|start| key_value(&text[start + 1..]));
        let Some((key, value)) = pair else {
            self.done = true;
            return Ok(false);
        };
        let span = line.span();
        let seen = match key.as_str() {
            "syntax" => self.found.syntax.replace(Spanned::new(value, span)).is_some(),
            "check" => {
                let options = check_options(&value).map_err(|message| ParseError::new(span, message))?;
                self.found.check.replace(Spanned::new(options, span)).is_some()
            }
            "escape" => {
                let seen = std::mem::replace(&mut self.escape_seen, true);
                match value.as_str() {
                    "\\" => self.found.escape = Some(Spanned::new('\\', span)),
                    "`" => self.found.escape = Some(Spanned::new('`', span)),
                    _ if seen => {}
                    _ => {
                        let message = format!("invalid escape token '{value}' does not match ` or \\");
                        return Err(ParseError::new(span, message));
                    }
                }
                seen
            }
            _ => {
                self.done = true;
                return Ok(false);
            }
        };
        if seen {
            return Err(ParseError::new(span, format!("only one {key} parser directive can be used")));
        }
        Ok(true)
    }

    /// The escape character so far.
    pub(super) fn escape(&self) -> char {
        self.found.escape.as_ref().map_or('\\', |escape| escape.value)
    }

    /// What was found. `bytes` is the whole file: behind a `#!` line `syntax` and `check` count, too.
    pub(super) fn finish(self, bytes: &[u8]) -> Directives {
        let mut found = self.found;
        let mut lines = Lines::new(bytes);
        if let Ok(Some(first)) = lines.next()
            && first.raw.starts_with(b"#!")
        {
            let mut behind = Self::default();
            while let Ok(Some(line)) = lines.next() {
                if !matches!(behind.line(&line), Ok(true)) {
                    break;
                }
            }
            found.syntax = behind.found.syntax;
            found.check = behind.found.check;
        }
        found
    }
}

/// Splits `key = value`; the key in lower case.
fn key_value(text: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(text);
    let text = text.trim_start();
    let key_length = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let (key, rest) = text.split_at(key_length);
    let blank = [' ', '\t', '\n', '\r', '\u{c}'];
    let value = rest.trim_start_matches(blank).strip_prefix('=')?;
    let trimmed = value.trim_matches(blank);
    // Nothing but blanks is a value of one blank.
    let trimmed = if trimmed.is_empty() { value.get(..1)? } else { trimmed };
    Some((key.to_ascii_lowercase(), trimmed.to_owned()))
}

/// Reads the options of a `check` directive; only the first word counts.
fn check_options(value: &str) -> Result<CheckOptions, String> {
    let mut options = CheckOptions::default();
    let word = value.split(' ').next().unwrap_or_default().trim();
    if word.is_empty() {
        return Ok(options);
    }
    for part in word.splitn(3, ';') {
        let Some((key, value)) = part.split_once('=') else {
            return Err(format!("invalid check option {part:?}"));
        };
        let value = value.trim();
        let rules = || value.split(',').map(|rule| rule.trim().to_owned()).collect::<Vec<_>>();
        match key.trim() {
            "skip" if value == "all" => options.skip_all = true,
            "skip" => options.skip = rules(),
            "experimental" if value == "all" => options.experimental_all = true,
            "experimental" => options.experimental = rules(),
            "error" => {
                options.error =
                    go_bool(value).ok_or_else(|| format!("failed to parse check option {part:?}"))?;
            }
            key => return Err(format!("invalid check option {key:?}")),
        }
    }
    // All is all: single rules beside it say nothing more.
    if options.skip_all {
        options.skip.clear();
    }
    if options.experimental_all {
        options.experimental.clear();
    }
    Ok(options)
}

/// Reads the text of a comment above an instruction as `check=` options. `None` if it is something else.
pub fn check_comment(comment: &str) -> Option<CheckOptions> {
    let (key, value) = key_value(comment.as_bytes())?;
    if key == "check" { check_options(&value).ok() } else { None }
}

/// Reads the options that `BUILDKIT_DOCKERFILE_CHECK` holds.
pub fn parse_check_options(value: &str) -> Result<CheckOptions, ParseError> {
    check_options(value).map_err(|message| ParseError::new(crate::ast::Span::default(), message))
}

/// A boolean as Go's `strconv.ParseBool` reads it.
pub(crate) fn go_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
