//! What Cooper's tests share: a scratch store with the `cooper` binary, a real registry, an unprivileged user, the
//! files of `testdata/`.
//!
//! To run tests as another user: copy their binaries, the program and `testdata/` to where that user can read them, and
//! say where by COOPER_BINARY and COOPER_WORKSPACE. `cli/tests/as_user.rs` does so.
//!
//! Drives programs from outside; knows no other crate of the workspace. Panics where a test would `unwrap`; where the
//! machine lacks something, says so on standard output and gives `None`, and the test returns.

mod command;
mod context;
mod door;
mod engine;
mod observe;
mod registry;
mod sshd;
mod unprivileged;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub use command::{Output, find_program, program};
pub use context::{Context, cache, cooper_binary};
pub use door::Door;
pub use engine::{Bundle, Dockerd, Podman, skopeo, tool};
pub use observe::{mounts_with, processes_with, wait_for};
pub use registry::{PASSWORD, Registry, USER};
pub use sshd::Sshd;
pub use unprivileged::Unprivileged;

/// A file or directory of `testdata/`.
pub fn testdata(name: &str) -> PathBuf {
    let path = workspace().join("testdata").join(name);
    assert!(path.exists(), "{} does not exist", path.display());
    path
}

/// The root of the repository: COOPER_WORKSPACE (for users who cannot read it: a copy), or where this was compiled.
pub fn workspace() -> &'static Path {
    static COPY: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("COOPER_WORKSPACE").map(PathBuf::from));
    let compiled =
        || Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("testkit/ stands in the workspace");
    COPY.as_deref().unwrap_or_else(compiled)
}

/// Whether `cooper` can run steps on this machine; says why not.
pub fn can_build() -> bool {
    let doctor = Context::new("doctor").run(["doctor"]);
    if !doctor.success() {
        skip(&format!("steps cannot run here: {doctor}"));
    }
    doctor.success()
}

/// Whether this process is root.
pub fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uids.and_then(|uids| uids.split_whitespace().nth(1)) == Some("0")
}

/// Says why a test does not run. Written past the test harness, which swallows what passing tests print.
pub fn skip(reason: &str) {
    // A closed standard output is no reason to fail.
    let _ = writeln!(std::io::stdout(), "skipped: {reason}");
}
