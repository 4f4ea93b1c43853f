//! A user without privileges but with subordinate ids, to run `cooper` as it is mostly run.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::command::{Output, find_program, program};
use crate::context::cooper_binary;
use crate::{is_root, skip};

const NAME: &str = "cooper-test";

/// The user. Tests that are run as root share one named `cooper-test`, which stays on the machine; otherwise it is
/// whoever runs the tests.
#[derive(Debug)]
pub struct Unprivileged {
    directory: TempDir,
    switch: bool,
}

impl Unprivileged {
    /// The user with a directory of its own. `None`, with the reason on standard output, if there can be none.
    pub fn new() -> Option<Unprivileged> {
        if find_program("newuidmap").is_none() {
            skip("newuidmap (package uidmap) is not installed");
            return None;
        }
        let directory = tempfile::Builder::new().prefix("cooper-user-").tempdir();
        let directory = directory.expect("a temporary directory can be made");
        let user = Unprivileged { directory, switch: is_root() };
        if user.switch {
            let (uid, gid) = ensure_user()?;
            chown(user.dir(), Some(uid), Some(gid)).expect("root may give files away");
        } else if !has_subordinate_ids("/etc/subuid", &id("-un")) {
            skip("this user has no subordinate ids in /etc/subuid");
            return None;
        }
        Some(user)
    }

    /// A directory that belongs to the user.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// A copy of the program under test that the user can run.
    pub fn cooper(&self) -> PathBuf {
        // The build directory may be out of the user's reach.
        let copy = self.dir().join("cooper");
        if !copy.exists() {
            std::fs::copy(cooper_binary(), &copy)
                .unwrap_or_else(|e| panic!("cannot make {}: {e}", copy.display()));
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        copy
    }

    /// A program to be run as the user, with the user's directory as home and current directory.
    pub fn command(&self, name: impl AsRef<Path>) -> Command {
        let mut command = if self.switch {
            let mut command = program("setpriv");
            command.args(["--reuid", NAME, "--regid", NAME, "--init-groups", "--"]).arg(name.as_ref());
            command
        } else {
            program(name.as_ref())
        };
        command.current_dir(self.dir()).env("HOME", self.dir()).env("USER", NAME).env_remove("XDG_DATA_HOME");
        command.env_remove("XDG_RUNTIME_DIR").env("DOCKER_CONFIG", self.dir().join("docker-config"));
        command
    }

    /// Copies a directory to where the user can read it; the copy belongs to root and cannot be changed by the user.
    pub fn give(&self, source: &Path, name: &str) -> PathBuf {
        let target = self.dir().join(name);
        Output::of(program("cp").arg("-r").arg("--").arg(source).arg(&target)).expect_success();
        Output::of(program("chmod").args(["-R", "a+rX"]).arg(&target)).expect_success();
        target
    }
}

impl Drop for Unprivileged {
    fn drop(&mut self) {
        // Files of subordinate ids are out of reach for anybody but root and the user's own namespaces.
        if !self.switch {
            let _ = Output::of(
                program("unshare").args(["--map-auto", "--map-root-user", "rm", "-rf"]).arg(self.dir()),
            );
        }
    }
}

/// Makes the user unless it is there; its ids.
fn ensure_user() -> Option<(u32, u32)> {
    let numbers = || -> Option<(u32, u32)> {
        let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
        let line = passwd.lines().find(|line| line.split(':').next() == Some(NAME))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    if numbers().is_none() {
        let Some(useradd) = find_program("useradd") else {
            skip("useradd is not installed");
            return None;
        };
        // Another test may make it at the same time: what counts is that it is there in the end.
        let made = Output::of(program(useradd).args([
            "--no-create-home",
            "--shell",
            "/bin/sh",
            "--user-group",
            NAME,
        ]));
        if numbers().is_none() {
            skip(&format!("cannot make a user: {made}"));
            return None;
        }
    }
    if !has_subordinate_ids("/etc/subuid", NAME) || !has_subordinate_ids("/etc/subgid", NAME) {
        let range = ["--add-subuids", "200000-265535", "--add-subgids", "200000-265535"];
        Output::of(program("usermod").args(range).arg(NAME)).expect_success();
    }
    numbers()
}

fn has_subordinate_ids(file: &str, name: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| line.split(':').next() == Some(name))
}

fn id(flag: &str) -> String {
    Output::of(program("id").arg(flag)).expect_success().stdout.trim().to_owned()
}
