//! One member of an archive, and the limits on reading.

use std::collections::BTreeMap;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum EntryKind {
    /// A regular file; data follows.
    #[default]
    File,
    /// Another name of an earlier member, [`Entry::link`].
    HardLink,
    /// A symbolic link to [`Entry::link`].
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Dir,
    /// A named pipe.
    Fifo,
}

/// One member of an archive. Paths are bytes, and hold what the archive holds: cleaning them is the caller's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The name. Read: as it is in the archive. Written: the trailing slash of directories is added.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, set-ID and sticky bits included (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of data (of sparse files: with the holes). Zero for all but files.
    pub size: u64,
    /// Modification time, seconds since 1970, rounded down.
    pub mtime: i64,
    /// Nanoseconds to add to `mtime`.
    pub mtime_nanos: u32,
    /// Target of a link.
    pub link: Vec<u8>,
    /// Major device number.
    pub dev_major: u32,
    /// Minor device number.
    pub dev_minor: u32,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Name of the owner; often empty.
    pub uname: Vec<u8>,
    /// Name of the group; often empty.
    pub gname: Vec<u8>,
}

/// How much a [`Reader`](super::Reader) may take in before it gives up with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Members.
    pub max_entries: u64,
    /// Bytes: of the archive itself, and of its files with their holes filled, each counted apart.
    pub max_bytes: u64,
    /// Bytes of headers' extra records for one member, and of the global ones together.
    pub max_metadata: u64,
    /// Bytes of a path or link target.
    pub max_path: usize,
}

impl Budget {
    /// Generous limits for an image layer: 10 million members, 512 GiB, 1 MiB of records, paths of 64 KiB.
    pub fn layer() -> Self {
        Self { max_entries: 10_000_000, max_bytes: 1 << 39, max_metadata: 1 << 20, max_path: 1 << 16 }
    }
}
