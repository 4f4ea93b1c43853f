//! A private directory in memory for what gets bound into the container: generated files and device nodes.
//!
//! It is mounted in the old root, on a directory that is not needed any more, and goes away together with that.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::path::Path;

use cooper_sys::Result;
use cooper_sys::fs::{self, FileKind, OFlags};
use cooper_sys::mount::{self, Attributes, FsOption};

/// Directories of the host to cover, in the order of preference. Nothing in them is looked at by a container's set-up.
const COVERED: [&str; 5] = ["/tmp", "/run", "/var", "/usr", "/etc"];

pub struct Scratch {
    dir: OwnedFd,
    count: Cell<u32>,
}

impl Scratch {
    pub fn new() -> Result<Self> {
        let mode = FsOption::Value("mode", "700".to_owned());
        let dir = mount::mount_fs("tmpfs", &[mode], Attributes::default())?;
        let point = COVERED.iter().find_map(|path| fs::open_dir(Path::new(path)).ok());
        let point = point.ok_or_else(|| {
            cooper_sys::Error::new(
                "find",
                COVERED.join(", "),
                std::io::Error::from(std::io::ErrorKind::NotFound),
            )
        })?;
        mount::move_mount(&dir, &point)?;
        Ok(Self { dir, count: Cell::new(0) })
    }

    fn next_name(&self) -> String {
        self.count.set(self.count.get() + 1);
        self.count.get().to_string()
    }

    /// A detached mount of a new file.
    pub fn file(&self, data: &[u8], uid: u32, gid: u32, mode: u32) -> Result<OwnedFd> {
        use std::io::Write as _;
        let name = self.next_name();
        let mut file = std::fs::File::from(fs::create_file_at(&self.dir, &name, 0o600)?);
        file.write_all(data).map_err(|e| cooper_sys::Error::new("write", name.as_str(), e))?;
        fs::chown_at(&self.dir, &name, uid, gid)?;
        fs::chmod_at(&self.dir, &name, mode)?;
        let clone = mount::clone_at(&self.dir, &name, false)?;
        // Scripts are given this way too.
        let noexec = mode & 0o111 == 0;
        mount::set_attributes(&clone, Attributes { noexec, ..Attributes::HARMLESS.read_only() }, false)?;
        Ok(clone)
    }

    /// A handle of a new device node, mode 0666. Not possible in a user namespace.
    pub fn device(&self, kind: FileKind, major: u32, minor: u32) -> Result<OwnedFd> {
        let name = self.next_name();
        fs::mknod_at(&self.dir, &name, kind, 0o666, major, minor)?;
        fs::chmod_at(&self.dir, &name, 0o666)?;
        fs::open_at(&self.dir, &name, OFlags::PATH)
    }
}
