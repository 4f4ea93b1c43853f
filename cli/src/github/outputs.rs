//! Outputs of the action: entries of the file GITHUB_OUTPUT.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// One entry; safe for values of several lines, since nobody can guess the delimiter.
pub fn entry(name: &str, value: &str, delimiter: &str) -> String {
    format!("{name}<<{delimiter}\n{value}\n{delimiter}\n")
}

/// Appends text to a file that the runner reads.
pub fn append(path: &Path, text: &str) -> std::io::Result<()> {
    OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn entries_are_appended() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("out");
        append(&file, &entry("a", "1", "EOF1")).unwrap();
        append(&file, &entry("b", "x\ny=2", "EOF2")).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text, "a<<EOF1\n1\nEOF1\nb<<EOF2\nx\ny=2\nEOF2\n");
    }
}
