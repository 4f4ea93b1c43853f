//! Programs that tests run, with their output captured as text.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a program wrote, and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    what: String,
}

impl Output {
    /// Runs a command without input and waits for it.
    pub fn of(command: &mut Command) -> Output {
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
        Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            what: format!("{command:?}"),
        }
    }

    /// Whether it ended with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Panics with everything that is known unless it ended with code 0; gives itself back.
    #[track_caller]
    pub fn expect_success(self) -> Output {
        assert!(self.success(), "{self}");
        self
    }

    /// Panics unless it ended with this code; gives itself back.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Output {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} ended with {:?}", self.what, self.code)?;
        write!(f, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// A command without our environment's proxies, colours and settings of container tools.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    for (key, _) in std::env::vars_os() {
        let text = key.to_string_lossy().to_uppercase();
        let ours = ["COOPER_", "BUILDKIT_", "BUILDX_", "DOCKER_", "GITHUB_", "INPUT_", "RUNNER_"];
        if ours.iter().any(|start| text.starts_with(start))
            || text.ends_with("_PROXY")
            || ["SOURCE_DATE_EPOCH", "REGISTRY_AUTH_FILE", "NO_COLOR", "CLICOLOR_FORCE"]
                .contains(&text.as_str())
        {
            command.env_remove(&key);
        }
    }
    command
}

/// Where a program is, looked up in PATH and in the directories for administrators.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.extend(["/usr/local/bin", "/usr/bin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    places.iter().map(|place| place.join(name)).find(|file| Path::is_file(file))
}
