//! COPY and ADD: files of other steps put on a root filesystem, as a layer.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;

use cooper_frontend::graph::{Chmod, CopyOp, SourceKind, StepId};
use cooper_snapshotter::LayerInfo;

use super::sources::{self, StoreUnpacker, with_tree};
use super::{bring, rootfs_of, tell_surprises, unpack};
use crate::copy::{self, CopyOptions};
use crate::error::{BuildError, Kind};
use crate::rootfs::Rootfs;
use crate::solver::key::Inputs;
use crate::solver::{Build, LayerStep, Output};
use crate::task;

/// A COPY or ADD with its inputs.
pub struct CopyStep<'a> {
    op: &'a CopyOp,
    base: Rootfs,
    inputs: &'a HashMap<StepId, Output>,
}

impl<'a> CopyStep<'a> {
    /// Binds the op to its inputs.
    pub fn new(op: &'a CopyOp, inputs: &'a HashMap<StepId, Output>) -> Result<Self, BuildError> {
        Ok(CopyStep { op, base: rootfs_of(inputs, op.base)?, inputs })
    }

    fn input(&self, id: StepId) -> Result<&Output, BuildError> {
        self.inputs.get(&id).ok_or_else(|| BuildError::new(Kind::Internal, "a source of COPY is missing"))
    }
}

impl LayerStep for CopyStep<'_> {
    fn kind(&self) -> &'static str {
        "copy"
    }

    fn base(&self) -> &Rootfs {
        &self.base
    }

    async fn inputs(&self, build: &Arc<Build>) -> Result<Inputs, BuildError> {
        let op = self.op;
        let mut inputs = Inputs::default();
        inputs.add("op", if op.add { "add" } else { "copy" });
        if op.link {
            inputs.add("link", "true");
        } else {
            inputs.add("parent layers", self.base.identity());
        }
        inputs.add("destination", &op.dest);
        inputs.add("--chown", copy::plain_owner(op.chown.as_deref().unwrap_or_default()));
        inputs.add(
            "--chmod",
            match &op.chmod {
                None => String::new(),
                Some(Chmod::Octal(mode)) => format!("{mode:o}"),
                Some(Chmod::Symbolic(text)) => text.clone(),
            },
        );
        inputs.add("--parents", op.parents.to_string());
        if let Some(epoch) = build.graph.image.source_date_epoch {
            inputs.add("SOURCE_DATE_EPOCH", epoch.to_string());
        }
        for pattern in &op.excludes {
            inputs.add("--exclude", pattern);
        }
        for source in &op.sources {
            inputs.add(
                format!("source {}", sources::cleaned(&source.path)),
                match source.kind {
                    SourceKind::Files { preserve_owner } => format!("files, owner kept: {preserve_owner}"),
                    other => format!("{other:?}"),
                },
            );
            sources::key_inputs(build, self.input(source.input)?, source, op, &mut inputs).await?;
        }
        Ok(inputs)
    }

    async fn run(&self, build: &Arc<Build>, step: usize) -> Result<LayerInfo, BuildError> {
        let mut op = self.op.clone();
        for source in &mut op.sources {
            // Only the server knew the name.
            if let (Output::Download(download), SourceKind::Http { .. }) =
                (self.input(source.input)?, source.kind)
            {
                source.path.clone_from(&download.name);
            }
        }
        let base = if op.link { Rootfs::default() } else { self.base.clone() };
        unpack(build, &base).await?;
        let mut outputs = Vec::new();
        for source in &op.sources {
            let output = self.input(source.input)?.clone();
            bring(build, &output, Some(step)).await?;
            outputs.push(output);
        }
        let build = build.clone();
        task::blocking("copy files", move || {
            let store = &build.session.store;
            let chain = base.chain();
            let active = store.prepare(chain, &[])?;
            let upper = active.upper()?;
            let mut warnings = Vec::new();
            let owner = match &op.chown {
                None => None,
                Some(spec) => {
                    let root = (!op.link && !chain.is_empty()).then(|| active.root());
                    let resolved = copy::resolve_chown(root, spec)?;
                    warnings.extend(resolved.warnings.iter().map(|warning| format!("--chown: {warning}")));
                    Some((resolved.uid, resolved.gid))
                }
            };
            for (source, output) in op.sources.iter().zip(&outputs) {
                let cancelled = || build.cancel.is_cancelled();
                let options = CopyOptions {
                    owner,
                    parent_time: build.graph.image.source_date_epoch.map(|seconds| (seconds, 0)),
                    unpacker: op.add.then_some(&StoreUnpacker as &dyn copy::Unpacker),
                    cancelled: Some(&cancelled),
                    upper: upper.as_ref().map(AsFd::as_fd),
                    ..CopyOptions::default()
                };
                let report = with_tree(&build, output, |tree| {
                    let selection = copy::select(tree, source, &op)?;
                    warnings.extend(selection.warnings().iter().cloned());
                    Ok(copy::copy(&selection, active.root(), &op, &options)?)
                })
                .map_err(|e| e.at(source.span))?;
                warnings.extend(report.warnings);
            }
            tell_surprises(&build, step, warnings)?;
            drop(upper);
            Ok(store.commit(active)?)
        })
        .await
    }
}
