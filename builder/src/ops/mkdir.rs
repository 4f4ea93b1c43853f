//! WORKDIR's directory: made with its parents, owned by the current USER, in a layer of its own.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use cooper_frontend::graph::{MkdirOp, StepId};
use cooper_snapshotter::{LayerInfo, give_fd};
use cooper_sys::fs;

use super::{rootfs_of, unpack};
use crate::error::BuildError;
use crate::ops::run::resolve_user;
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
        inputs.add("USER", &self.op.user);
        if let Some(epoch) = self.op.source_date_epoch {
            inputs.add("SOURCE_DATE_EPOCH", epoch.to_string());
        }
        Ok(inputs)
    }

    async fn run(&self, build: &Arc<Build>, _step: usize) -> Result<LayerInfo, BuildError> {
        unpack(build, &self.base).await?;
        let (store, chain, op) = (build.session.store.clone(), self.base.chain().clone(), self.op.clone());
        task::blocking("make working directory", move || {
            let active = store.prepare(&chain, &[])?;
            let root = active.root();
            let user = resolve_user(root, &op.user)?;
            fs::mkdir_all_in_root(root, Path::new(&op.path), 0o755, |dir, _| {
                // An owner that this user namespace lacks becomes a note.
                give_fd(dir, user.uid, user.gid).map(drop)
            })
            .map_err(|e| BuildError::user(format!("cannot make the directory {}", op.path)).caused_by(e))?;
            Ok(store.commit(active)?)
        })
        .await
    }
}
