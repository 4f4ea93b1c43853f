//! Finding and executing the command, with the words and exit codes of runc where it fails.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cooper_sys::Error;
use cooper_sys::process;

use super::Step as _;
use crate::wire::{Failure, Order};

const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// A command, ready for exec.
pub struct Command {
    prepared: process::Command,
    program: OsString,
    /// Files to try, in this order.
    candidates: Vec<PathBuf>,
}

impl Command {
    pub fn new(order: &Order) -> Result<Self, Failure> {
        let arguments: Vec<OsString> = order.argv.iter().map(crate::wire::Bytes::os_string).collect();
        let environment: Vec<OsString> = order.env.iter().map(crate::wire::Bytes::os_string).collect();
        let program = arguments.first().cloned().unwrap_or_default();
        let candidates = if program.as_bytes().contains(&b'/') {
            vec![PathBuf::from(&program)]
        } else {
            search_path(&environment).map(|dir| dir.join(&program)).collect()
        };
        let prepared = process::Command::new(&arguments, &environment).step("command")?;
        Ok(Self { prepared, program, candidates })
    }

    /// Becomes the command, or tells why not.
    pub fn execute(&self) -> Failure {
        let by_path = self.program.as_bytes().contains(&b'/');
        let name = quote(&self.program);
        for path in &self.candidates {
            let error = self.prepared.execute(path);
            if by_path {
                return by_path_failure(&name, path, &error);
            }
            let skip = matches!(
                error.kind(),
                ErrorKind::NotFound
                    | ErrorKind::NotADirectory
                    | ErrorKind::PermissionDenied
                    | ErrorKind::IsADirectory
            );
            if !skip || (error.is_not_found() && path.exists()) {
                return plain_failure(path, &error);
            }
        }
        failure(format!("exec: {name}: executable file not found in $PATH"), NOT_FOUND)
    }
}

/// The absolute directories of the last `PATH`; no other is ever searched.
fn search_path(environment: &[OsString]) -> impl Iterator<Item = PathBuf> {
    let value = environment.iter().rev().find_map(|line| line.as_bytes().strip_prefix(b"PATH="));
    let dirs = value.unwrap_or_default().split(|byte| *byte == b':');
    dirs.filter(|dir| dir.first() == Some(&b'/')).map(|dir| PathBuf::from(OsStr::from_bytes(dir)))
}

fn by_path_failure(name: &str, path: &Path, error: &Error) -> Failure {
    let reason = reason(error);
    match error.kind() {
        // There, but the interpreter that it names is not.
        ErrorKind::NotFound if path.exists() => plain_failure(path, error),
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            failure(format!("exec: {name}: stat {}: {reason}", path.display()), NOT_FOUND)
        }
        ErrorKind::PermissionDenied if path.is_dir() => {
            failure(format!("exec: {name}: is a directory"), NOT_EXECUTABLE)
        }
        ErrorKind::PermissionDenied => failure(format!("exec: {name}: {reason}"), NOT_EXECUTABLE),
        _ => plain_failure(path, error),
    }
}

fn plain_failure(path: &Path, error: &Error) -> Failure {
    let code = if error.is_not_found() { NOT_FOUND } else { NOT_EXECUTABLE };
    failure(format!("exec {}: {}", path.display(), reason(error)), code)
}

fn failure(message: String, exit_code: i32) -> Failure {
    Failure { step: "exec".to_owned(), message, exit_code: Some(exit_code) }
}

/// The kernel's reason in its usual words, in lower case.
fn reason(error: &Error) -> String {
    let text = error.source.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn quote(text: &OsStr) -> String {
    format!("\"{}\"", text.display())
}
