//! The other tests of this crate once more, as an unprivileged user: run as root, this runs their binaries again.
//!
//! The user may not be able to read the build directory, so binaries and `testdata/` are copied; COOPER_BINARY and
//! COOPER_WORKSPACE say where they are.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use cooper_testkit::{Output, Unprivileged, cache, is_root, skip, workspace};

/// This one, and those that become a user by themselves.
const NOT_FOR_USERS: [&str; 3] = ["as_user", "conformance", "rootless"];

/// The newest binary of each test beside this one.
fn tests() -> BTreeMap<String, PathBuf> {
    let me = std::env::current_exe().unwrap();
    let mut newest: BTreeMap<String, (SystemTime, PathBuf)> = BTreeMap::new();
    for entry in std::fs::read_dir(me.parent().unwrap()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((name, _)) = name.rsplit_once('-').filter(|(_, hash)| hash.len() == 16) else { continue };
        let sources = workspace().join("cli/tests");
        let is_test =
            sources.join(format!("{name}.rs")).is_file() || sources.join(name).join("main.rs").is_file();
        if !is_test || NOT_FOR_USERS.contains(&name) {
            continue;
        }
        let time = entry.metadata().and_then(|m| m.modified()).unwrap();
        if newest.get(name).is_none_or(|(other, _)| *other < time) {
            newest.insert(name.to_owned(), (time, entry.path()));
        }
    }
    newest.into_iter().map(|(name, (_, path))| (name, path)).collect()
}

#[test]
fn everything_passes_as_a_user() {
    if !is_root() {
        return skip("this is the unprivileged user already");
    }
    let Some(user) = Unprivileged::new() else { return };
    let copy = user.dir().join("workspace");
    std::fs::create_dir(&copy).unwrap();
    for part in ["testdata", "action.yml"] {
        user.give(&workspace().join(part), &format!("workspace/{part}"));
    }
    let cooper = user.cooper();
    if cache().exists() {
        user.give(&cache(), "cooper-test-cache");
    }
    let tests = tests();
    assert!(!tests.is_empty(), "there are no tests beside this one");
    let mut failed = Vec::new();
    for (name, binary) in tests {
        let binary = user.give(&binary, &name);
        let mut command = user.command(&binary);
        command.env("COOPER_BINARY", &cooper).env("COOPER_WORKSPACE", &copy).env("TMPDIR", user.dir());
        let output = Output::of(command.arg("--nocapture"));
        for line in output.stdout.lines().filter_map(|line| line.split_once("skipped: ")) {
            skip(&format!("{name}: {}", line.1));
        }
        if !output.success() {
            failed.push(format!("{name}\n{output}"));
        }
    }
    assert!(failed.is_empty(), "these fail as a user:\n{}", failed.join("\n"));
}
