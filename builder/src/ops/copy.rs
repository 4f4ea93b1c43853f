//! COPY and ADD: files of other steps put on a root filesystem, as a layer.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;

use cooper_frontend::graph::{Chmod, CopyOp, SourceKind, StepId};
use cooper_snapshotter::{Active, LayerInfo};

use super::sources::{self, StoreUnpacker, with_tree};
use super::{bring, layer, rootfs_of, tell_surprises, unpack};
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
        let work = Work { build: build.clone(), step, op, base, outputs };
        task::blocking("copy files", move || match work.stream()? {
            Some(layer) => Ok(layer),
            None => work.copy(),
        })
        .await
    }
}

/// User and group.
type Owner = (u32, u32);

/// What a thread needs for the copy.
struct Work {
    build: Arc<Build>,
    step: usize,
    op: CopyOp,
    base: Rootfs,
    /// Of the sources, in their order.
    outputs: Vec<Output>,
}

impl Work {
    /// Writes the files into a layer.
    fn copy(&self) -> Result<LayerInfo, BuildError> {
        let active = self.prepare()?;
        let upper = active.upper()?;
        let (owner, mut warnings) = self.owner(&active)?;
        let cancelled = || self.build.cancel.is_cancelled();
        let options =
            CopyOptions { upper: upper.as_ref().map(AsFd::as_fd), ..self.options(owner, &cancelled) };
        for (source, output) in self.op.sources.iter().zip(&self.outputs) {
            let report = with_tree(&self.build, output, |tree| {
                let selection = copy::select(tree, source, &self.op)?;
                warnings.extend(selection.warnings().iter().cloned());
                Ok(copy::copy(&selection, active.root(), &self.op, &options)?)
            })
            .map_err(|e| e.at(source.span))?;
            warnings.extend(report.warnings);
        }
        tell_surprises(&self.build, self.step, warnings)?;
        drop(upper);
        layer::commit(&self.build, self.step, active)
    }

    /// Makes the layer out of the files where they lie, if only its compressed form is wanted. `None`: not to be done.
    fn stream(&self) -> Result<Option<LayerInfo>, BuildError> {
        let (Some(form), [source], [output @ Output::Context(_)]) =
            (layer::only_form(&self.build, self.step), self.op.sources.as_slice(), self.outputs.as_slice())
        else {
            return Ok(None);
        };
        let active = self.prepare()?;
        let (owner, mut warnings) = self.owner(&active)?;
        let cancelled = || self.build.cancel.is_cancelled();
        let options = self.options(owner, &cancelled);
        with_tree(&self.build, output, |tree| {
            let selection = copy::select(tree, source, &self.op)?;
            let Some(files) = copy::stream(&selection, active.root(), &self.op, &options)? else {
                return Ok(None);
            };
            warnings.extend(selection.warnings().iter().cloned());
            let layer = layer::stream(&self.build, form, active, files)?;
            if layer.is_some() {
                tell_surprises(&self.build, self.step, warnings)?;
            }
            Ok(layer)
        })
        .map_err(|e| e.at(source.span))
    }

    fn prepare(&self) -> Result<Active, BuildError> {
        Ok(self.build.session.store.prepare(self.base.chain(), &[])?)
    }

    /// Whom `--chown` means in the image, and what is to be said about it.
    fn owner(&self, active: &Active) -> Result<(Option<Owner>, Vec<String>), BuildError> {
        let Some(spec) = &self.op.chown else { return Ok((None, Vec::new())) };
        let root = (!self.op.link && !active.chain().is_empty()).then(|| active.root());
        let resolved = copy::resolve_chown(root, spec)?;
        let warnings = resolved.warnings.iter().map(|warning| format!("--chown: {warning}")).collect();
        Ok((Some((resolved.uid, resolved.gid)), warnings))
    }

    fn options<'o>(&self, owner: Option<Owner>, cancelled: &'o (dyn Fn() -> bool + Sync)) -> CopyOptions<'o> {
        CopyOptions {
            owner,
            parent_time: self.build.graph.image.source_date_epoch.map(|seconds| (seconds, 0)),
            unpacker: self.op.add.then_some(&StoreUnpacker as &dyn copy::Unpacker),
            cancelled: Some(cancelled),
            ..CopyOptions::default()
        }
    }
}
