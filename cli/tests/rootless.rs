//! Without root the result is the same: files, owners, digests.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cooper_testkit::{Context, Output, Unprivileged, can_build, is_root, program, skip, testdata};

/// Owners of all kinds, special modes, links, devices' absence, removed things.
const OWNERS: &str = "FROM busybox AS made\n\
     RUN mkdir -p /d/root /d/app && touch /d/app/file && chown -R app:app /d/app && chown 0:65534 /d/root \\\n    \
     && touch /d/high && chown 60000:60001 /d/high && chmod 4711 /d/high && mkfifo /d/fifo && rm -r /home/* \n\
     USER app\nWORKDIR /d/app/own\nRUN touch mine && ! touch /d/root/no\n\
     FROM busybox\nCOPY --from=made /d /d\nCOPY --chown=1234:5678 --chmod=600 file /copied\nUSER nobody\nRUN id -u > /tmp/id\n";

/// The image's archive as both users make it.
fn both(name: &str, project: &Path, flags: &[&str]) -> Option<(Vec<u8>, Vec<u8>)> {
    if !is_root() {
        skip("needs root to compare with");
        return None;
    }
    if !can_build() {
        return None;
    }
    let user = Unprivileged::new()?;
    let context = Context::new(name);
    let base = user.give(&testdata("base"), "base");
    // Owners of the context do not count, so the user's copy may be root's.
    let copy = user.give(project, "project");
    let mut archives = Vec::new();
    for mut command in [context.command(["build"]), user.command(user.cooper())] {
        let as_user = !archives.is_empty();
        let archive = if as_user { user.dir().join("out.tar") } else { context.dir().join("out.tar") };
        if as_user {
            command.arg("--root").arg(user.dir().join("store")).arg("build");
        }
        command.arg("--build-context").arg(format!("busybox=oci-layout://{}", base.display()));
        command.args(flags).args(["--progress=plain", "--output"]);
        command.arg(format!("type=tar,dest={}", archive.display())).arg(&copy);
        let output = Output::of(&mut command).expect_success();
        assert!(
            !output.stderr.contains("#1 CACHED\n\n#2 CACHED\n\n#3 CACHED"),
            "each has a store of its own"
        );
        let owner = std::fs::metadata(&archive).unwrap().uid();
        assert_eq!(owner == 0, !as_user, "the archive belongs to whoever built");
        let listing = program("tar").args(["--numeric-owner", "-tvf"]).arg(&archive).output().unwrap();
        let lines = String::from_utf8(listing.stdout).unwrap();
        archives.push(lines.lines().map(without_time).collect::<Vec<_>>().join("\n").into_bytes());
    }
    let user = archives.pop()?;
    Some((archives.pop()?, user))
}

/// A line of tar's list: mode, owner, size, name.
fn without_time(line: &str) -> String {
    let mut fields = line.split_whitespace();
    let front: Vec<_> = fields.by_ref().take(3).collect();
    format!("{} {}", front.join(" "), fields.skip(2).collect::<Vec<_>>().join(" "))
}

fn same(name: &str, project: &Path, flags: &[&str]) -> Option<String> {
    let (root, user) = both(name, project, flags)?;
    let (root, user) = (String::from_utf8(root).unwrap(), String::from_utf8(user).unwrap());
    for (one, other) in root.lines().zip(user.lines()) {
        assert_eq!(one, other, "root's, user's");
    }
    assert_eq!(root.lines().count(), user.lines().count());
    Some(root)
}

#[test]
fn owners_and_modes_are_roots() {
    let context = Context::new("owners-project");
    let file = context.write("app/Dockerfile", OWNERS);
    context.write("app/file", "x");
    let Some(list) = same("owners", file.parent().unwrap(), &[]) else { return };
    for want in [
        "-rws--x--x 60000/60001 0 d/high",
        "drwxr-xr-x 0/65534 0 d/root/",
        "-rw-r--r-- 1000/1000 0 d/app/own/mine",
        "-rw------- 1234/5678 1 copied",
        "prw-r--r-- 0/0 0 d/fifo",
    ] {
        let found = list.lines().any(|line| line.trim_start_matches("./") == want);
        assert!(
            found,
            "{want}:\n{}",
            list.lines().filter(|l| l.contains(" d/") || l.contains("copied")).collect::<Vec<_>>().join("\n")
        );
    }
}

#[test]
fn a_go_service() {
    same("go", &testdata("go-like"), &["--build-arg", "VERSION=1.2.3"]);
}

#[test]
fn a_node_service() {
    same("node", &testdata("node-like"), &[]);
}

#[test]
fn a_python_service() {
    same("python", &testdata("python-like"), &[]);
}

#[test]
fn a_web_server() {
    same("nginx", &testdata("nginx-like"), &[]);
}

#[test]
fn owners_beyond_the_users_ids_are_kept_or_refused() {
    let context = Context::new("beyond-project");
    let file = context.write(
        "app/Dockerfile",
        "FROM busybox\nUSER 3000000:3000001\nWORKDIR /theirs/below\nCOPY --chown=3000000:3000001 d /d\n",
    );
    context.write("app/d/file", "x");
    let project = file.parent().unwrap();
    let Some(list) = same("beyond", project, &[]) else { return };
    for want in ["drwxr-xr-x 3000000/3000001 0 theirs/below/", "-rw-r--r-- 3000000/3000001 1 d/file"] {
        assert!(list.lines().any(|line| line.trim_start_matches("./") == want), "{want}: {list}");
    }
    // A link has no place for a note of its owner: root's it must not become.
    std::os::unix::fs::symlink("file", context.dir().join("app/d/link")).unwrap();
    let Some(user) = Unprivileged::new() else { return };
    let mut pack = program("tar");
    pack.args(["--owner=a:3000000", "--group=b:3000001", "-cf"]).arg(project.join("links.tar"));
    Output::of(pack.arg("-C").arg(project.join("d")).arg("link")).expect_success();
    context.write("app/Dockerfile.add", "FROM busybox\nADD links.tar /l/\n");
    let (base, copy) = (user.give(&testdata("base"), "base"), user.give(project, "project"));
    let refused = |file: &str| {
        let mut command = user.command(user.cooper());
        command.arg("--root").arg(user.dir().join("store")).args(["build", "-f"]).arg(copy.join(file));
        command.arg("--build-context").arg(format!("busybox=oci-layout://{}", base.display())).arg(&copy);
        Output::of(&mut command).expect_code(1)
    };
    let told = "cannot belong to 3000000:3000001: this user has no such subordinate ids";
    let copied = refused("Dockerfile");
    assert!(
        copied.stderr.contains(&format!("/d/link {told}")) && copied.stderr.contains("--chown"),
        "{copied}"
    );
    let added = refused("Dockerfile.add");
    assert!(added.stderr.contains(told) && added.stderr.contains("links.tar"), "{added}");
}
