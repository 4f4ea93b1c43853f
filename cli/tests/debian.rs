//! The heavy one: apt in a real Debian root, which mmdebstrap makes from the mirror that this machine itself uses.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use cooper_testkit::{Context, Output, can_build, program, skip, testdata, tool};

/// The context with `root.tar`; made once.
fn debian() -> Option<PathBuf> {
    tool("mmdebstrap")?;
    let cache = cooper_testkit::cache();
    let kept = cache.join("debian");
    if kept.join("root.tar").is_file() {
        return Some(kept);
    }
    std::fs::create_dir_all(&cache).unwrap();
    // Another test may make it at the same time: each has its own until it is whole.
    let fresh = tempfile_in(&cache);
    let made =
        Output::of(program(testdata("debian-apt").join("make-base")).arg(&fresh).env("TMPDIR", &fresh));
    if !made.success() {
        let _ = std::fs::remove_dir_all(&fresh);
        let reason = made.stderr.lines().rev().find(|l| l.starts_with("E: ")).unwrap_or_default().to_owned();
        skip(&format!("no Debian root can be made from this machine's mirror: {reason}"));
        return None;
    }
    if std::fs::rename(&fresh, &kept).is_err() {
        std::fs::remove_dir_all(&fresh).unwrap();
    }
    Some(kept)
}

fn tempfile_in(cache: &Path) -> PathBuf {
    let fresh = cache.join(format!("debian-{}", std::process::id()));
    std::fs::create_dir_all(&fresh).unwrap();
    fresh
}

fn build(context: &Context, project: &Path, output: &Path, flags: &[&str]) -> Output {
    let file = testdata("debian-apt/Dockerfile");
    let output = format!("type=tar,dest={}", output.display());
    let mut words = flags.to_vec();
    words.extend(["-f", file.to_str().unwrap(), "--output", &output, project.to_str().unwrap()]);
    context.build(words)
}

#[test]
fn apt_installs_a_package() {
    if !can_build() {
        return;
    }
    let Some(project) = debian() else { return };
    let context = Context::new("debian");
    let archive = context.dir().join("out.tar");
    let first = build(&context, &project, &archive, &[]);
    if !first.success() && first.stderr.contains("Temporary failure resolving") {
        return skip("steps reach no mirror from here");
    }
    let first = first.expect_success();
    assert!(
        first.stderr.lines().any(|l| l.contains(" less ") && l.contains("GNU regular expressions")),
        "it ran: {first}"
    );
    let list =
        Output::of(program("tar").args(["--numeric-owner", "-tvf"]).arg(&archive)).expect_success().stdout;
    let has = |path: &str| {
        list.lines().any(|l| l.split_whitespace().nth(5).unwrap_or_default().trim_start_matches("./") == path)
    };
    assert!(has("usr/bin/less") || has("bin/less"));
    assert!(has("usr/share/doc/less/copyright"));
    // What lay in cache mounts stays out of the image: apt's lists and packages.
    assert!(
        !list
            .lines()
            .any(|l| l.ends_with("_Packages") || Path::new(l).extension().is_some_and(|e| e == "deb")),
        "cache mounts leave no trace"
    );
    let owned = |path: &str, owner: &str| list.lines().any(|l| l.contains(owner) && l.ends_with(path));
    assert!(owned("etc/shadow", " 0/42 "), "owners survive ADD and apt");
    let second = build(&context, &project, &archive, &[]).expect_success();
    assert!(!second.stderr.contains("DONE"), "{second}");
}
