//! Builds every case of `testdata/conformance` and compares with what BuildKit makes of it: as root, and as a user
//! without privileges.
//!
//! `COOPER_CASES=area/` builds only the cases whose names begin so. `testdata/conformance/README.md` says what a case
//! is made of.

#![allow(clippy::unwrap_used)]

mod case;
mod compare;
mod image;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cooper_testkit::{Context, Unprivileged, cooper_binary, is_root, program, skip, testdata};

use case::{Builder, Verdict};
use image::{Layout, Tree};

#[test]
fn builds_equal_those_of_buildkit() {
    if !is_root() {
        return skip("as root");
    }
    if !can_build() {
        return;
    }
    let context = Context::new("conformance");
    let command = || program(cooper_binary());
    run(&Builder {
        cases: testdata("conformance"),
        base: testdata("base"),
        base_tree: &base_tree(),
        work: context.dir().to_owned(),
        command: &command,
        user: None,
    });
}

#[test]
fn builds_of_an_unprivileged_user_equal_those_of_buildkit() {
    let Some(user) = Unprivileged::new() else { return };
    if !can_build() {
        return;
    }
    let binary = user.cooper();
    let command = || user.command(&binary);
    run(&Builder {
        cases: user.give(&testdata("conformance"), "cases"),
        base: user.give(&testdata("base"), "base"),
        base_tree: &base_tree(),
        work: user.dir().join("work"),
        command: &command,
        user: is_root().then_some("cooper-test"),
    });
}

#[test]
fn lists_of_exceptions_name_cases_and_give_reasons() {
    let all: BTreeSet<String> = names(&testdata("conformance")).into_iter().collect();
    for file in ["DIFFERENCES", "ROOTLESS"] {
        for (name, reason) in exceptions(&testdata("conformance"), file) {
            assert!(all.contains(&name), "{file}: there is no case {name}");
            assert!(reason.len() > 20, "{file}: {name} needs a reason");
        }
    }
}

/// Whether steps can run on this machine; says why not.
fn can_build() -> bool {
    let doctor = Context::new("doctor").run(["doctor"]);
    if !doctor.success() {
        skip(&format!("steps cannot run here: {}", doctor.stderr.trim()));
    }
    doctor.success()
}

fn base_tree() -> Tree {
    let layout = Layout::of_directory(&testdata("base")).unwrap();
    let manifest = layout.manifests().unwrap().remove(0);
    layout.flatten(&manifest).unwrap().0
}

/// Runs the cases, one at a time on each processor; panics in the end if one is not as expected.
#[expect(clippy::print_stdout, reason = "tests talk on standard output")]
fn run(builder: &Builder) {
    let wanted = std::env::var("COOPER_CASES").unwrap_or_default();
    let cases: Vec<String> =
        names(&builder.cases).into_iter().filter(|name| name.starts_with(&wanted)).collect();
    let mut known = exceptions(&builder.cases, "DIFFERENCES");
    if builder.user.is_some() || !is_root() {
        known.extend(exceptions(&builder.cases, "ROOTLESS"));
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(name) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let verdict = builder.judge(name);
            let (passed, report) = report(name, &verdict, known.get(name));
            print!("{report}");
            if !passed {
                failed.lock().unwrap().push(name.clone());
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("{} cases as expected, {} not", cases.len() - failed.len(), failed.len());
    assert!(failed.is_empty(), "not as expected: {}", failed.join(" "));
}

/// Whether all is as it should be, and what is to be said.
fn report(name: &str, verdict: &Verdict, known: Option<&String>) -> (bool, String) {
    match (verdict.differences.as_slice(), known) {
        ([], None) => (true, String::new()),
        ([], Some(_)) => (false, format!("{name}: a known difference is no more: strike it from the list\n")),
        ([first, ..], Some(reason)) => (true, format!("{name}: known difference: {reason} ({first})\n")),
        (differences, None) => {
            let mut report = format!("{name}: not as expected\n");
            for line in differences {
                writeln!(report, "    {line}").unwrap();
            }
            let lines: Vec<&str> = verdict.log.lines().collect();
            for line in &lines[lines.len().saturating_sub(15)..] {
                writeln!(report, "    | {line}").unwrap();
            }
            (false, report)
        }
    }
}

/// All cases, as `area/name`.
fn names(cases: &Path) -> Vec<String> {
    let directories = |path: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
        let directories = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        let mut names: Vec<String> =
            directories.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let areas = directories(cases).into_iter();
    areas
        .flat_map(|area| {
            directories(&cases.join(&area)).into_iter().map(move |name| format!("{area}/{name}"))
        })
        .collect()
}

/// Cases that are known not to be as expected, with the reason: lines `area/name: reason`, `#` begins a comment.
fn exceptions(cases: &Path, file: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(cases.join(file)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, reason) =
                line.split_once(": ").unwrap_or_else(|| panic!("{file}: {line:?} has no reason"));
            (name.to_owned(), reason.to_owned())
        })
        .collect()
}
