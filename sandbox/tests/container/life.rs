//! The end of containers: nothing of them may be left, whoever dies first.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};

use cooper_sandbox::{ExitStatus, Level, ProcessUser, start};
use cooper_sys::process;

use crate::Test;
use crate::fixture::{Root, mount_at, process_with, spec};

pub const TESTS: &[Test] = &[
    ("a_killed_container_leaves_no_process", a_killed_container_leaves_no_process),
    ("a_dropped_container_leaves_no_process", a_dropped_container_leaves_no_process),
    ("orphans_end_with_the_command", orphans_end_with_the_command),
    ("a_killed_builder_leaves_no_process", a_killed_builder_leaves_no_process),
    ("a_killed_helper_leaves_no_process", a_killed_helper_leaves_no_process),
    ("many_threads_start_containers_at_once", many_threads_start_containers_at_once),
    ("the_root_is_free_after_the_end", the_root_is_free_after_the_end),
];

/// First argument that makes this program a builder to be killed.
pub const VICTIM: &str = "victim";

/// A script that starts background processes with an argument of their own, says so, and then sleeps.
fn sleepers(mark: &str) -> String {
    format!("sleep {mark} & (setsid sleep {mark} &) ; echo ready; exec sleep {mark}")
}

/// Starts the script in a root and waits for its word.
fn start_sleepers(dir: &Path, mark: &str) -> cooper_sandbox::Child {
    start_sleepers_as(dir, mark, ProcessUser { uid: 0, gid: 0, groups: vec![0] })
}

fn start_sleepers_as(dir: &Path, mark: &str, user: ProcessUser) -> cooper_sandbox::Child {
    let (output, stdout) = process::pipe().unwrap();
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().unwrap();
    let mut spec = spec(mount_at(dir), &["sh", "-c", &sleepers(mark)], stdout, stderr);
    spec.user = user;
    let child = start(spec).unwrap();
    let mut line = String::new();
    BufReader::new(std::fs::File::from(output)).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

/// A number that no other process has as its argument.
fn mark(test: u32) -> String {
    format!("9{:06}{test:02}", std::process::id())
}

fn a_killed_container_leaves_no_process(_: Level) {
    let (root, mark) = (Root::new(), mark(1));
    let mut child = start_sleepers(&root.path(""), &mark);
    assert!(process_with(&mark));
    let killer = child.killer();
    std::thread::scope(|scope| scope.spawn(move || killer.kill()).join()).unwrap();
    assert_eq!(child.wait().unwrap(), ExitStatus::Signal(9));
    assert!(!process_with(&mark));
    child.killer().kill();
    assert_eq!(child.wait().unwrap(), ExitStatus::Signal(9));
}

fn a_dropped_container_leaves_no_process(_: Level) {
    let (root, mark) = (Root::new(), mark(2));
    let child = start_sleepers(&root.path(""), &mark);
    assert!(process_with(&mark));
    drop(child);
    assert!(!process_with(&mark));
}

fn orphans_end_with_the_command(_: Level) {
    let (root, mark) = (Root::new(), mark(3));
    let (_output, stdout) = process::pipe().unwrap();
    let stderr = stdout.try_clone().unwrap();
    let script = format!("(setsid sleep {mark} &); sleep {mark} & kill -TERM $! ; exit 4");
    let mut child = start(spec(root.mount(), &["sh", "-c", &script], stdout, stderr)).unwrap();
    assert_eq!(child.wait().unwrap(), ExitStatus::Code(4));
    assert!(!process_with(&mark));
}

fn a_killed_builder_leaves_no_process(_: Level) {
    let (root, mark) = (Root::new(), mark(4));
    let mut builder = Command::new(std::env::current_exe().unwrap())
        .args([VICTIM, root.path("").to_str().unwrap(), &mark])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(builder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut errors = builder.stderr.take().unwrap();
    assert_eq!(line, "started\n");
    assert!(process_with(&mark));
    builder.kill().unwrap();
    // Everything in the container holds the other end of this pipe: it ends when they have.
    let mut text = String::new();
    errors.read_to_string(&mut text).unwrap();
    builder.wait().unwrap();
    assert!(!process_with(&mark), "{text}");
}

fn a_killed_helper_leaves_no_process(_: Level) {
    let (root, mark) = (Root::new(), mark(5));
    // Of a user who is not root: the change of ids must not make the kernel forget.
    let mut child =
        start_sleepers_as(&root.path(""), &mark, ProcessUser { uid: 1000, gid: 1000, groups: vec![] });
    let children =
        std::fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id())).unwrap();
    for helper in children.split_whitespace() {
        assert!(Command::new("kill").args(["-9", helper]).status().unwrap().success());
    }
    child.wait().unwrap_err();
    // The signal of the dying parent has been sent; its effect may lag behind.
    while process_with(&mark) {
        std::thread::yield_now();
    }
}

fn many_threads_start_containers_at_once(_: Level) {
    std::thread::scope(|scope| {
        for number in 0..8 {
            // A thread ends right after its start: the container must not end with it.
            scope.spawn(move || {
                let root = Root::new();
                let (output, stdout) = process::pipe().unwrap();
                let stderr = stdout.try_clone().unwrap();
                let gate = cooper_sandbox::Mount {
                    target: "/gate".into(),
                    kind: cooper_sandbox::MountKind::Bind {
                        source: cooper_sys::fs::open_path(&gate_of(&root)).unwrap(),
                        read_only: false,
                        nosuid: true,
                        nodev: true,
                    },
                };
                let mut spec =
                    spec(root.mount(), &["sh", "-c", "read line < /gate; echo $line"], stdout, stderr);
                spec.mounts.push(gate);
                let mut child = std::thread::spawn(move || start(spec).unwrap()).join().unwrap();
                std::fs::write(gate_of(&root), format!("{number}\n")).unwrap();
                assert!(child.wait().unwrap().is_success());
                let mut text = String::new();
                std::fs::File::from(output).read_to_string(&mut text).unwrap();
                assert_eq!(text, format!("{number}\n"));
            });
        }
    });
}

/// A FIFO on which a container waits.
fn gate_of(root: &Root) -> std::path::PathBuf {
    let path = root.path("gate");
    if !path.exists() {
        let dir = cooper_sys::fs::open_dir(&root.path("")).unwrap();
        cooper_sys::fs::mkfifo_at(dir, "gate", 0o600).unwrap();
    }
    path
}

fn the_root_is_free_after_the_end(_: Level) {
    let root = Root::new();
    for round in 0..3 {
        let (mut output, stdout) = process::pipe().map(|(r, w)| (std::fs::File::from(r), w)).unwrap();
        let stderr = stdout.try_clone().unwrap();
        // The kernel refuses an upper directory that another overlay still has.
        let script = format!("ls /tmp | wc -l; touch /tmp/{round}");
        let mut child = start(spec(root.mount(), &["sh", "-c", &script], stdout, stderr)).unwrap();
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().is_success());
        assert_eq!(text, format!("{round}\n"));
    }
}

/// Starts a container, says so, and waits to be killed.
pub fn be_victim(dir: &Path) -> ! {
    let mark = std::env::args().nth(3).unwrap();
    let mut child = start_sleepers(dir, &mark);
    println!("started");
    child.wait().unwrap();
    std::process::exit(1)
}
