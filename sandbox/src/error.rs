//! What can go wrong around a container, apart from the command's own failure.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A container could not be prepared, started or watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused something on our side.
    #[error(transparent)]
    Kernel(#[from] cooper_sys::Error),
    /// The order cannot be carried out as it is written.
    #[error("invalid container: {0}")]
    Spec(String),
    /// A step of the container's set-up failed; the command did not run.
    #[error("cannot set up container: {step}: {message}")]
    SetUp {
        /// The step.
        step: String,
        /// What failed, on which object, why.
        message: String,
    },
    /// The command could not be executed; nothing of it ran. The text is the one that runc has.
    #[error("{message}")]
    Exec {
        /// The reason.
        message: String,
        /// The exit code that shells and runtimes use for this: 126 or 127.
        exit_code: i32,
    },
    /// The helper between builder and container ended without a word.
    #[error("container helper ended unexpectedly: {0}")]
    HelperDied(String),
    /// `maybe_init` was not called, so that running this program again would not make a container.
    #[error("cooper_sandbox::maybe_init() was not called at the start of main")]
    NoInit,
    /// A user namespace can be entered only by a process with one thread.
    #[error("cannot enter a user namespace: the process has threads already")]
    Threads,
    /// The system forbids user namespaces.
    #[error(
        "cannot make a user namespace: {source}: run as root, or allow unprivileged user namespaces \
         (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
    )]
    UserNamespace {
        /// The kernel's answer.
        source: cooper_sys::Error,
    },
    /// The user has no ids to give to a container.
    #[error(
        "user {user} has no subordinate ids in {file}: add a line such as \"{user}:100000:65536\" to /etc/subuid and \
         /etc/subgid (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}), or run as root"
    )]
    NoSubordinateIds {
        /// Name of the user, or the number if it has none.
        user: String,
        /// The file without an entry.
        file: PathBuf,
    },
    /// The program that maps ids is missing.
    #[error(
        "{program} is not installed: install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora), or run as root"
    )]
    NoMapProgram {
        /// "newuidmap" or "newgidmap".
        program: &'static str,
    },
    /// The program that maps ids refused.
    #[error("{program} failed: {message}")]
    MapFailed {
        /// "newuidmap" or "newgidmap".
        program: &'static str,
        /// What it said.
        message: String,
    },
}

/// A user of an image cannot be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// No such user.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    UnknownUser(String),
    /// No such group.
    #[error("unable to find group {0}: no matching entries in group file")]
    UnknownGroup(String),
    /// A number that is no id.
    #[error("uids and gids must be in range 0-2147483647: {0}")]
    OutOfRange(String),
    /// The image's user database is not a file that can be read.
    #[error("{path} of the image: {reason}")]
    BadFile {
        /// Path inside the image.
        path: &'static str,
        /// Why it is refused.
        reason: String,
    },
}
