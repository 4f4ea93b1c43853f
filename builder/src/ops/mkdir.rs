//! WORKDIR's directory: made with its parents, owned by the current USER, in a layer of its own.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use cooper_frontend::gopath;
use cooper_frontend::graph::{MkdirOp, StepId};
use cooper_snapshotter::{LayerInfo, give_fd};
use cooper_sys::fs::{self, OFlags};

use super::{rootfs_of, tell_surprises, unpack};
use crate::copy;
use crate::error::BuildError;
use crate::rootfs::Rootfs;
use crate::solver::key::Inputs;
use crate::solver::{Build, LayerStep, Output};
use crate::task;

/// A WORKDIR with its input.
pub struct MkdirStep<'a> {
    op: &'a MkdirOp,
    words: &'a str,
    base: Rootfs,
}

impl<'a> MkdirStep<'a> {
    /// Binds the op to its inputs; `words` is the instruction as people see it.
    pub fn new(
        op: &'a MkdirOp,
        words: &'a str,
        inputs: &HashMap<StepId, Output>,
    ) -> Result<Self, BuildError> {
        Ok(MkdirStep { op, words, base: rootfs_of(inputs, op.base)? })
    }
}

impl LayerStep for MkdirStep<'_> {
    fn kind(&self) -> &'static str {
        "workdir"
    }

    fn base(&self) -> &Rootfs {
        &self.base
    }

    async fn inputs(&self, _build: &Arc<Build>) -> Result<Inputs, BuildError> {
        let mut inputs = Inputs::default();
        inputs.add("op", "workdir");
        inputs.add("parent layers", self.base.identity());
        inputs.add("instruction", self.words);
        inputs.add("path", &self.op.path);
        inputs.add("USER", copy::plain_owner(&self.op.user));
        if let Some(epoch) = self.op.source_date_epoch {
            inputs.add("SOURCE_DATE_EPOCH", epoch.to_string());
        }
        Ok(inputs)
    }

    async fn run(&self, build: &Arc<Build>, step: usize) -> Result<LayerInfo, BuildError> {
        unpack(build, &self.base).await?;
        let (build, chain, op) = (build.clone(), self.base.chain().clone(), self.op.clone());
        task::blocking("make working directory", move || {
            let store = &build.session.store;
            let active = store.prepare(&chain, &[])?;
            let root = active.root();
            // Unlike RUN, this takes any user: BuildKit makes the directory of one that the image does not know root's.
            let owner = copy::resolve_chown((!chain.is_empty()).then_some(root), &op.user)?;
            let warnings = owner.warnings.iter().map(|warning| format!("USER: {warning}"));
            tell_surprises(&build, step, warnings)?;
            let mut made = Vec::new();
            fs::mkdir_all_in_root(root, Path::new(&gopath::clean_str(&op.path)), 0o755, |dir, path| {
                made.push(path.to_owned());
                // An owner that this user namespace lacks becomes a note.
                give_fd(dir, owner.uid, owner.gid).map(drop)
            })
            .map_err(|e| BuildError::user(format!("cannot make the directory {}", op.path)).caused_by(e))?;
            if let Some(seconds) = op.source_date_epoch {
                for (parent, name) in made.iter().filter_map(|path| Some((path.parent()?, path.file_name()?)))
                {
                    let parent = fs::resolve_in_root(root, parent, OFlags::DIRECTORY)?;
                    fs::utimens_at(parent, name, (seconds, 0))?;
                }
            }
            Ok(store.commit(active)?)
        })
        .await
    }
}
