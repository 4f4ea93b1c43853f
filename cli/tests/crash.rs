//! What survives when Cooper or the machine dies at the wrong moment.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cooper_testkit::{Context, is_root, mounts_with, processes_with, program, skip, testdata};

/// A context of some hundred files, and a Dockerfile whose steps take turns with COPY and RUN.
fn project(dir: &Path) {
    std::fs::create_dir_all(dir.join("src/deep")).unwrap();
    for n in 0..200 {
        std::fs::write(dir.join(format!("src/deep/file{n}")), format!("content {n}\n").repeat(50)).unwrap();
    }
    std::fs::write(
        dir.join("Dockerfile"),
        "FROM busybox AS one\n\
         ARG ROUND\n\
         RUN mkdir /one && for i in $(seq 100); do echo $ROUND-$i > /one/$i; done\n\
         FROM busybox\n\
         ARG ROUND\n\
         COPY src /src\n\
         RUN mkdir /two && for i in $(seq 100); do echo two-$ROUND-$i > /two/$i; done && rm -r /home\n\
         COPY --from=one /one /one\n\
         WORKDIR /made\n",
    )
    .unwrap();
}

/// Only files: what no RUN's unmount has flushed by accident.
fn copy_only_project(dir: &Path) {
    std::fs::create_dir_all(dir.join("src")).unwrap();
    for n in 0..400 {
        std::fs::write(dir.join(format!("src/file{n}")), format!("content {n}\n").repeat(20)).unwrap();
    }
    std::fs::write(dir.join("Dockerfile"), "FROM busybox\nCOPY src /src\n").unwrap();
}

/// Ends with a COPY that is large enough to go from the context into an archive.
fn streamed_project(dir: &Path) {
    copy_only_project(dir);
    std::fs::write(dir.join("src/big"), vec![b'x'; 17 << 20]).unwrap();
}

fn build(cooper: &Path, store: &Path, project: &Path, round: &str, output: &str) -> Command {
    let mut command = program(cooper);
    command
        .arg("--root")
        .arg(store)
        .args(["build", "--progress", "rawjson", "--build-arg", &format!("ROUND={round}")])
        .arg("--build-context")
        .arg(format!("busybox=oci-layout://{}", testdata("base").display()))
        .args(["--output", output])
        .arg(project)
        .stdin(Stdio::null());
    command
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Every regular file below a directory with its content.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let path = entry.path();
            if kind.is_dir() {
                todo.push(path);
            } else if kind.is_file() {
                out.insert(path.strip_prefix(dir).unwrap().to_path_buf(), std::fs::read(&path).unwrap());
            }
        }
    }
    out
}

/// A small generator: the moments must differ, not be secret.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// SIGKILL after a random number of progress events and a random moment more, 100 times: the next build of the same thing
/// always succeeds with the right files, and a prune leaves nothing.
#[test]
fn killed_builds_leave_a_good_store() {
    let killed: u32 = std::thread::scope(|scope| {
        let stores: Vec<_> = (0..4).map(|n| scope.spawn(move || kill_and_build(n, 25))).collect();
        stores.into_iter().map(|store| store.join().unwrap()).sum()
    });
    assert!(killed > 50, "only {killed} of 100 builds were killed before their end");
}

/// Uses one store for all rounds; how many builds did not end before they were killed.
fn kill_and_build(number: u64, rounds: u32) -> u32 {
    let context = Context::new("killed");
    let project_dir = context.dir().join("project");
    project(&project_dir);
    let store = context.store();
    let cooper = context.cooper();
    let mut seed = 20_261_125 + number;
    let mut killed = 0;
    for round in 0..rounds {
        let dest = context.dir().join(format!("out{round}"));
        let output = format!("type=local,dest={}", dest.display());
        let mut child = build(&cooper, &store, &project_dir, &round.to_string(), &output)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let events = next(&mut seed) % 30;
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        for _ in 0..events {
            if lines.next().is_none() {
                break;
            }
        }
        // Part of the fault, not a wait for something: the moment within the step.
        std::thread::sleep(Duration::from_micros(next(&mut seed) % 20_000));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        drop(lines);
        let _ = std::fs::remove_dir_all(&dest);
        succeed(&mut build(&cooper, &store, &project_dir, &round.to_string(), &output));
        check(&dest, round);
        std::fs::remove_dir_all(&dest).unwrap();
    }
    succeed(program(&cooper).arg("--root").arg(&store).args(["prune", "--all"]));
    nothing_is_left(&store);
    killed
}

/// The files of the project's image.
fn check(dest: &Path, round: u32) {
    let found = files(dest);
    for n in 0..200 {
        let want = format!("content {n}\n").repeat(50);
        assert_eq!(found[Path::new(&format!("src/deep/file{n}"))], want.as_bytes(), "round {round}");
    }
    for n in 1..=100 {
        assert_eq!(found[Path::new(&format!("one/{n}"))], format!("{round}-{n}\n").as_bytes());
        assert_eq!(found[Path::new(&format!("two/{n}"))], format!("two-{round}-{n}\n").as_bytes());
    }
    assert!(dest.join("made").is_dir() && !dest.join("home").exists());
}

/// No file, no mount, no process of the store.
fn nothing_is_left(store: &Path) {
    for part in ["blobs", "snapshots", "steps", "layers", "images", "mounts", "tmp"] {
        let left = store.join(part);
        let count = if left.exists() { files(&left).len() } else { 0 };
        assert_eq!(count, 0, "{} is not empty after prune --all", left.display());
    }
    let name = store.to_string_lossy();
    assert_eq!(mounts_with(&name), Vec::<String>::new());
    assert_eq!(processes_with(&name), Vec::<String>::new());
}

/// A file system in a file. Copying the file while it is mounted gives what the disk would hold if the power went now.
struct Disk {
    mount: PathBuf,
}

impl Disk {
    fn mount(image: &Path, mount: PathBuf) -> Disk {
        std::fs::create_dir_all(&mount).unwrap();
        succeed(program("mount").args(["-o", "loop"]).arg(image).arg(&mount));
        Disk { mount }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = program("umount").arg(&self.mount).status();
    }
}

/// A kernel may write what is dirty in any order. The worst one: the content of layers and blobs last, after all that
/// says that it is there.
fn records_reach_the_disk(store: &Path) {
    let mut todo = vec![store.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && entry.file_name() != "fs" && entry.file_name() != "blobs" {
                todo.push(entry.path());
            } else if kind.is_file() {
                std::fs::File::open(entry.path()).unwrap().sync_all().unwrap();
            }
        }
        std::fs::File::open(&dir).unwrap().sync_all().unwrap();
    }
}

/// Builds on one disk, copies it the moment the build says done, builds on the copy; says how many of the files that the
/// second build exports are wrong or missing.
fn power_cut(context: &Context, name: &str, wrapper: &[&str], project: fn(&Path)) -> usize {
    let dir = context.dir().join(name);
    let project_dir = dir.join("project");
    project(&project_dir);
    let image = dir.join("disk.img");
    let file = std::fs::File::create(&image).unwrap();
    file.set_len(512 << 20).unwrap();
    succeed(program("mkfs.ext4").args(["-q", "-F"]).arg(&image));
    let before = Disk::mount(&image, dir.join("before"));
    let out = |n: u32| dir.join(format!("out{n}"));
    let export = |n: u32| format!("type=local,dest={}", out(n).display());
    let cooper = context.cooper();
    succeed(&mut build(&cooper, &context.store(), &project_dir, "1", &export(1)));
    let first = format!("type=oci,dest={}", dir.join("first.tar").display());
    let first = build(&cooper, &before.mount.join("store"), &project_dir, "1", &first);
    let mut wrapped = program(wrapper.first().map_or(cooper.as_path(), Path::new));
    if !wrapper.is_empty() {
        wrapped.args(&wrapper[1..]).arg(&cooper);
    }
    succeed(wrapped.args(first.get_args()).stdin(Stdio::null()));
    records_reach_the_disk(&before.mount.join("store"));
    let copy = dir.join("copy.img");
    succeed(program("cp").arg("--sparse=always").arg(&image).arg(&copy));
    drop(before);
    let after = Disk::mount(&copy, dir.join("after"));
    succeed(&mut build(&cooper, &after.mount.join("store"), &project_dir, "1", &export(2)));
    let (want, got) = (files(&out(1)), files(&out(2)));
    want.iter().filter(|(path, content)| got.get(*path) != Some(content)).count()
        + got.keys().filter(|p| !want.contains_key(*p)).count()
}

fn can_mount_disks() -> bool {
    if !is_root() {
        skip("mounting a disk image needs root");
        return false;
    }
    if program("losetup")
        .arg("-f")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
    {
        return true;
    }
    skip("there are no loop devices here");
    false
}

/// Fault test F-02 and, since the base image is unpacked too, F-01.
#[test]
fn a_power_cut_after_the_build_loses_nothing() {
    if !can_mount_disks() {
        return;
    }
    let context = Context::new("power-cut");
    assert_eq!(power_cut(&context, "copy-only", &[], copy_only_project), 0);
    assert_eq!(power_cut(&context, "with-run", &[], project), 0);
    assert_eq!(power_cut(&context, "streamed", &[], streamed_project), 0);
}

/// The test above can fail: with `syncfs` taken out of the program, files are lost.
#[test]
fn without_syncfs_the_power_cut_test_fails() {
    if !can_mount_disks() {
        return;
    }
    if program("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        skip("strace, which takes the call out, is not installed");
        return;
    }
    let context = Context::new("power-cut-nosync");
    let strace =
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=syncfs", "-e", "inject=syncfs:retval=0"];
    let wrong = power_cut(&context, "no-syncfs", &strace, copy_only_project);
    assert!(wrong > 0, "nothing was lost without syncfs: the power-cut test proves nothing");
}
