//! Workflow commands: lines such as `::error file=Dockerfile,line=3::text` that the runner acts upon.

use std::io::Read;
use std::path::Path;

use cooper_frontend::ast::Span;

/// Escapes a command's text.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Levels of annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The run fails.
    Error,
    /// A remark.
    Warning,
}

/// A note on a place of the Dockerfile.
pub fn annotation(level: Level, title: &str, message: &str, place: Option<(&str, Span)>) -> String {
    let name = match level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    let mut properties = Vec::new();
    if let Some((file, span)) = place {
        properties.push(format!("file={}", property(file)));
        properties.push(format!("line={}", span.start_line));
        properties.push(format!("endLine={}", span.end_line));
    }
    properties.push(format!("title={}", property(title)));
    format!("::{name} {}::{}", properties.join(","), data(message))
}

/// Opens a group of lines.
pub fn group(title: &str) -> String {
    format!("::group::{}", data(title))
}

/// Closes it.
pub const END_GROUP: &str = "::endgroup::";

/// Hides a value in the log; a value of several lines is hidden line by line.
pub fn masks(value: &str) -> Vec<String> {
    let lines = value.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| format!("::add-mask::{}", data(line))).collect()
}

/// From here on lines are only text, until [`resume`] with the same token.
pub fn stop(token: &str) -> String {
    format!("::stop-commands::{token}")
}

/// Commands work again.
pub fn resume(token: &str) -> String {
    format!("::{token}::")
}

/// A word that nobody can guess, for delimiters and [`stop`].
pub fn token() -> std::io::Result<String> {
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold("cooper".to_owned(), |text, byte| text + &format!("{byte:02x}")))
}

/// A file's name as the runner wants it: relative to the checkout.
pub fn relative(file: &Path, workspace: Option<&Path>, current: &Path) -> String {
    let absolute = current.join(file);
    let shown = workspace.and_then(|w| absolute.strip_prefix(w).ok()).unwrap_or(file);
    let clean: std::path::PathBuf =
        shown.components().filter(|c| !matches!(c, std::path::Component::CurDir)).collect();
    clean.display().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_cannot_break_out_of_a_command() {
        let span = Span { start_line: 3, end_line: 4, start: 0, end: 9 };
        assert_eq!(
            annotation(Level::Error, "a:b,c", "100%\r\nnext", Some(("dir,x/Docker:file", span))),
            "::error file=dir%2Cx/Docker%3Afile,line=3,endLine=4,title=a%3Ab%2Cc::100%25%0D%0Anext"
        );
        assert_eq!(annotation(Level::Warning, "Rule", "text", None), "::warning title=Rule::text");
        assert_eq!(group("RUN a\nb 5%"), "::group::RUN a%0Ab 5%25");
    }

    #[test]
    fn each_line_of_a_secret_is_masked() {
        assert_eq!(masks("one\n\n  two%\r\n"), ["::add-mask::one", "::add-mask::two%25"]);
        assert!(masks(" \n").is_empty());
    }

    #[test]
    fn tokens_differ() {
        let (a, b) = (token().unwrap(), token().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), "cooper".len() + 32);
    }

    #[test]
    fn files_are_relative_to_the_checkout() {
        let workspace = Path::new("/home/runner/w/r");
        let table = [
            ("Dockerfile", "/home/runner/w/r", "Dockerfile"),
            ("./a/Dockerfile", "/home/runner/w/r", "a/Dockerfile"),
            ("Dockerfile", "/home/runner/w/r/sub", "sub/Dockerfile"),
            ("/home/runner/w/r/x", "/tmp", "x"),
            ("/elsewhere/x", "/tmp", "/elsewhere/x"),
        ];
        for (file, current, want) in table {
            assert_eq!(relative(Path::new(file), Some(workspace), Path::new(current)), want);
        }
        assert_eq!(relative(Path::new("./x"), None, Path::new("/")), "x");
    }
}
