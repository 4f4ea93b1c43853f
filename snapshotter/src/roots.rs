//! How the root directory of a merged tree looks.
//!
//! What one sees is the root of the topmost directory of an overlay, whichever layer that is. By the image
//! specification it is what the topmost layer with a member for the root says, or 0755 and root's. Where the two
//! differ, an empty directory with the right look, `roots/<mode>-<uid>-<gid>`, is put on top: so layers stay
//! independent of the root that they were made on.

use std::path::PathBuf;
use std::sync::Arc;

use cooper_sys::fs::{self, Stat};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;
use crate::snapshots::Located;
use crate::store::Inner;

/// Mode and owner of a root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootLook {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl RootLook {
    pub(crate) const PLAIN: Self = Self { mode: 0o755, uid: 0, gid: 0 };

    pub(crate) fn of(stat: &Stat) -> Self {
        Self { mode: stat.mode, uid: stat.uid, gid: stat.gid }
    }

    /// The look of a stack of layers, base first.
    pub(crate) fn of_layers(layers: &[Arc<Located>]) -> Self {
        layers.iter().rev().find_map(|layer| layer.meta.root).unwrap_or(Self::PLAIN)
    }
}

impl Inner {
    /// The directory to put on top of a stack (topmost first), if its own root looks wrong.
    pub(crate) fn root_cover(&self, stack: &[Arc<Located>], look: RootLook) -> Result<Option<PathBuf>> {
        let Some(top) = stack.first() else { return Ok(None) };
        if RootLook::of(&fs::fstat(fs::open_path(&top.fs)?)?) == look {
            return Ok(None);
        }
        let name = format!("{:o}-{}-{}", look.mode, look.uid, look.gid);
        let path = self.layout.roots().join(name);
        if !path.exists() {
            let made = self.session.fresh_path("root");
            std::fs::create_dir(&made).map_err(Error::io("create", &made))?;
            let dir = fs::open_dir(&made)?;
            fs::chown_fd(&dir, look.uid, look.gid)?;
            fs::chmod_fd(&dir, look.mode)?;
            // Another process may have been first; both are the same.
            if std::fs::rename(&made, &path).is_err() {
                files::remove_tree(&made)?;
            }
        }
        Ok(Some(path))
    }
}
