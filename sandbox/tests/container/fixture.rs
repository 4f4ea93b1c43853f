//! A busybox root with an overlay over it, and a container in it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests")]

use std::ffi::OsString;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use cooper_sandbox::{Error, ExitStatus, Mount, Network, ProcessUser, Spec, start};
use cooper_sys::overlay;

pub const BUSYBOX: &str = "/bin/busybox";

/// A store of one layer.
pub struct Root {
    dir: tempfile::TempDir,
}

impl Root {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Self { dir };
        for name in ["lower", "upper", "work"] {
            std::fs::create_dir(root.path(name)).unwrap();
        }
        for name in ["bin", "etc", "tmp", "proc", "dev", "sys", "root", "home"] {
            std::fs::create_dir(root.lower(name)).unwrap();
        }
        std::fs::copy(BUSYBOX, root.lower("bin/busybox")).unwrap();
        let list = Command::new(BUSYBOX).arg("--list").output().unwrap().stdout;
        for name in String::from_utf8(list).unwrap().lines().filter(|name| *name != "busybox") {
            symlink("busybox", root.lower("bin").join(name)).unwrap();
        }
        for (name, text) in [
            ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"),
            ("etc/group", "root:x:0:\nwheel:x:10:ann,root\nann:x:1000:\nvideo:x:44:ann\n"),
            ("etc/hosts", "from the image\n"),
            ("etc/resolv.conf", "from the image\n"),
        ] {
            std::fs::write(root.lower(name), text).unwrap();
        }
        root
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn lower(&self, name: &str) -> PathBuf {
        self.path("lower").join(name)
    }

    pub fn upper(&self, name: &str) -> PathBuf {
        self.path("upper").join(name)
    }

    pub fn mount(&self) -> OwnedFd {
        mount_at(self.dir.path())
    }
}

/// The overlay in the directory of a [`Root`].
pub fn mount_at(dir: &Path) -> OwnedFd {
    let options = overlay::Options { volatile: false, ..Default::default() };
    overlay::mount(&[&dir.join("lower")], Some((&dir.join("upper"), &dir.join("work"))), options).unwrap()
}

/// A container and what comes out of it.
pub struct Case {
    pub root: Root,
    pub spec: Spec,
    output: std::fs::File,
}

impl Case {
    /// Runs a script in a shell.
    pub fn new(script: &str) -> Self {
        Self::with(script, |_| ())
    }

    /// Runs a script in a root to which something is done before it is mounted.
    pub fn with(script: &str, prepare: impl FnOnce(&Root)) -> Self {
        let root = Root::new();
        prepare(&root);
        let (output, stdout) = cooper_sys::process::pipe().unwrap();
        let stderr = stdout.try_clone().unwrap();
        let spec = spec(root.mount(), &["sh", "-c", script], stdout, stderr);
        Self { root, spec, output: output.into() }
    }

    pub fn mount(mut self, target: &str, kind: cooper_sandbox::MountKind) -> Self {
        self.spec.mounts.push(Mount { target: target.into(), kind });
        self
    }

    pub fn try_run(self) -> Result<(ExitStatus, String, Root), Error> {
        let Self { root, spec, mut output } = self;
        let mut child = start(spec)?;
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        Ok((child.wait()?, text, root))
    }

    /// The output of a script that succeeds, and its root.
    pub fn run_in(self) -> (String, Root) {
        let (status, text, root) = self.try_run().unwrap();
        assert!(status.is_success(), "{status:?}: {text}");
        (text, root)
    }

    /// The output of a script that succeeds.
    pub fn run(self) -> String {
        self.run_in().0
    }
}

pub fn spec(root: OwnedFd, argv: &[&str], stdout: OwnedFd, stderr: OwnedFd) -> Spec {
    Spec {
        root,
        argv: argv.iter().map(OsString::from).collect(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        cwd: "/".into(),
        user: ProcessUser { uid: 0, gid: 0, groups: vec![0] },
        hostname: "builder".to_owned(),
        network: Network::Host,
        insecure: false,
        mounts: Vec::new(),
        hosts: b"127.0.0.1 localhost builder\n".to_vec(),
        resolv_conf: b"nameserver 192.0.2.1\n".to_vec(),
        shm_size_bytes: 0,
        rlimits: Vec::new(),
        stdout,
        stderr,
    }
}

/// True if any process of the host has this word in its command line.
pub fn process_with(word: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    })
}
