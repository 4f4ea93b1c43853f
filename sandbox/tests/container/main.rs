//! Containers as a command inside sees them: as root, and again as an unprivileged user with subordinate ids.
//!
//! Needs a static busybox. Run by root, it makes a user for the second pass and removes it in the end. What cannot be run
//! is named as skipped.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "tests")]

mod fixture;
mod inside;
mod life;
mod user;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode};

use cooper_sandbox::Level;

/// Set in the second pass.
const SECOND_PASS: &str = "COOPER_TEST_UNPRIVILEGED";
const USER: &str = "cooper-test";

fn main() -> ExitCode {
    cooper_sandbox::maybe_init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == life::VICTIM) {
        life::be_victim(Path::new(&arguments[1]));
    }
    if arguments.iter().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    if !Path::new(fixture::BUSYBOX).exists() {
        println!("SKIPPED: {} is not installed", fixture::BUSYBOX);
        return ExitCode::SUCCESS;
    }
    let second = std::env::var_os(SECOND_PASS).is_some();
    // Outside of any namespace, as processes of a user namespace could not do it.
    let unprivileged = if second { None } else { unprivileged_pass() };
    let level = match cooper_sandbox::enter() {
        Ok(level) => level,
        Err(e) => {
            println!("SKIPPED: {e}");
            return if second { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    println!("level {level:?}");
    let filter = arguments.iter().find(|word| !word.starts_with('-'));
    let mut failed = unprivileged == Some(false);
    for (name, test) in inside::TESTS.iter().chain(life::TESTS).chain(user::TESTS) {
        if filter.is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let ok = catch_unwind(AssertUnwindSafe(|| test(level))).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        failed |= !ok;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs this program again as an unprivileged user; `None` when that is impossible.
fn unprivileged_pass() -> Option<bool> {
    if cooper_sys::process::effective_uid() != 0 {
        return None;
    }
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let made = run("useradd", &["--system", "--shell", "/bin/sh", USER]);
    let ids = ["--add-subuids", "700000-765535", "--add-subgids", "700000-765535", USER];
    if !run("usermod", &ids) {
        println!("SKIPPED: cannot make a user with subordinate ids");
        return None;
    }
    let dir = tempfile::Builder::new().prefix("cooper-test").tempdir().unwrap();
    let copy = dir.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    assert!(run("chmod", &["755", dir.path().to_str().unwrap(), copy.to_str().unwrap()]));
    let status = Command::new("setpriv")
        .args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"])
        .arg(&copy)
        .args(std::env::args().skip(1))
        .env(SECOND_PASS, "1")
        .env("TMPDIR", "/tmp")
        .current_dir("/")
        .status();
    if made {
        run("userdel", &[USER]);
    }
    match status {
        Ok(status) => Some(status.success()),
        Err(e) => {
            println!("SKIPPED: cannot run setpriv: {e}");
            None
        }
    }
}

/// A test; the level tells what to expect.
type Test = (&'static str, fn(Level));
