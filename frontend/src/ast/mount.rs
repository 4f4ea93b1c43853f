//! `RUN --mount`: the flag as written, and its values once variables are expanded.

use super::{Span, Text};

/// `--mount=…` as written. Its fields may hold variables: the planner expands and reads them with
/// [`MountFlag::resolve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    /// The flag's value.
    pub value: Text,
    /// `from`: stage, named context or image, never expanded; known before anything else, since it decides which
    /// stages are needed.
    pub from: Option<String>,
}

/// `RUN --device=…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Name of a device or class of devices.
    pub name: String,
    /// Whether the step fails without it.
    pub required: bool,
    /// The flag's value.
    pub span: Span,
}

/// Kind of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MountType {
    /// Files of the context, a stage or an image.
    #[default]
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// Memory.
    Tmpfs,
    /// A file or variable that is no part of the image.
    Secret,
    /// An agent socket.
    Ssh,
}

/// How a cache mount is shared by steps that run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    /// All use it at once.
    #[default]
    Shared,
    /// Each has its own.
    Private,
    /// One after the other.
    Locked,
}

/// The values of a mount, expanded and checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MountValues {
    /// `type`
    pub kind: MountType,
    /// `target`, `dst`, `destination`; empty for a secret or ssh mount without one.
    pub target: String,
    /// `source`, `src`; `None` if absent or empty. That of a secret is moved to `id`.
    pub source: Option<String>,
    /// `from`: stage, named context or image; never expanded.
    pub from: Option<String>,
    /// Read-only: the default, but for `cache` and `tmpfs`.
    pub read_only: bool,
    /// `id`; `None` if absent or empty.
    pub id: Option<String>,
    /// `sharing` of a cache; shared if not written.
    pub sharing: Sharing,
    /// `mode`: permission bits.
    pub mode: Option<u32>,
    /// `uid`
    pub uid: Option<u32>,
    /// `gid`
    pub gid: Option<u32>,
    /// `size` of a tmpfs in bytes; 0 is unlimited.
    pub size_bytes: u64,
    /// `required` of a secret or ssh mount.
    pub required: bool,
    /// `env` of a secret.
    pub env: Option<String>,
}
