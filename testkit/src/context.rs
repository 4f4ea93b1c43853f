//! A scratch directory with a store of its own, and the `cooper` binary to use on it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::command::{Output, program};
use crate::{is_root, testdata};

/// A test's own place; gone when dropped.
#[derive(Debug)]
pub struct Context {
    directory: TempDir,
}

impl Context {
    /// A place whose path contains `name`, so that a left-over can be traced to its test.
    pub fn new(name: &str) -> Context {
        let directory = tempfile::Builder::new().prefix(&format!("cooper-{name}-")).tempdir();
        Context { directory: directory.expect("a temporary directory can be made") }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// Its store, which `cooper` makes at first use.
    pub fn store(&self) -> PathBuf {
        self.dir().join("store")
    }

    /// The program under test.
    pub fn cooper(&self) -> PathBuf {
        cooper_binary()
    }

    /// Writes a file, making its directories; its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir().join(name);
        let parent = path.parent().expect("it stands in our directory");
        std::fs::create_dir_all(parent).expect("directories can be made");
        std::fs::write(&path, content).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        path
    }

    /// `cooper --root STORE ARGUMENTS`, with a home of its own, not yet run.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = program(self.cooper());
        command.arg("--root").arg(self.store()).args(arguments);
        command.env("HOME", self.dir()).env("DOCKER_CONFIG", self.dir().join("docker-config"));
        command
    }

    /// Runs `cooper --root STORE ARGUMENTS`.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        Output::of(&mut self.command(arguments))
    }

    /// Runs `cooper build` with plain progress and with `busybox` as the image of `testdata/base`.
    pub fn build<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        Output::of(&mut self.build_command(arguments))
    }

    /// Builds a Dockerfile given as text, which must succeed.
    pub fn build_text(&self, dockerfile: &str, flags: &[&str]) {
        let file = self.write("project/Dockerfile", dockerfile);
        let project = file.parent().unwrap_or(&file).as_os_str();
        let words = flags.iter().map(OsStr::new).chain([project]);
        self.build(words).expect_success();
    }

    /// Pushes an image for two platforms.
    pub fn push_two_platforms(&self, name: &str) {
        let dockerfile = "FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY Dockerfile /file\n";
        self.build_text(dockerfile, &["--platform=linux/amd64,linux/arm64", "-t", name, "--push"]);
    }

    /// As [`Self::build`], not yet run.
    pub fn build_command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let base = format!("busybox=oci-layout://{}:latest", testdata("base").display());
        let mut command = self.command(["build", "--progress=plain", "--build-context", &base]);
        command.args(arguments);
        command
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Files of subordinate ids are out of reach for anybody but the user's own namespaces.
        if !is_root() && self.store().exists() {
            let _ = Output::of(
                program("unshare").args(["--map-auto", "--map-root-user", "rm", "-rf"]).arg(self.store()),
            );
        }
    }
}

/// A directory for what takes long to make, kept between runs: beside the program under test, so outside of git.
pub fn cache() -> PathBuf {
    cooper_binary().with_file_name("cooper-test-cache")
}

/// The `cooper` binary: COOPER_BINARY, or the one that cargo built beside this test.
pub fn cooper_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("COOPER_BINARY") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    let place = test.ancestors().skip(1).map(|place| place.join("cooper")).find(|file| file.is_file());
    place.unwrap_or_else(|| panic!("there is no cooper near {}: run cargo build -p cooper", test.display()))
}
