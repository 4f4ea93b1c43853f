//! `--mount` flags of a RUN.

use super::PlanError;
use super::dispatch::StageRun;
use super::nodes::MAIN_CONTEXT;
use crate::ast::{MountFlag, MountType, MountValues, Run, Sharing, Span};
use crate::gopath;
use crate::graph::{CacheSharing, MountKind, MountOp, StepId};

/// Permission bits that a mount can set: not setuid, setgid and sticky.
const PERMISSIONS: u32 = 0o777;

/// Whether `from` of the mount counts: only binds and caches hold files of a stage.
pub(super) fn reads_files(mount: &MountFlag) -> bool {
    let kind = mount.resolve(|value| Ok(value.to_owned())).map(|values| values.kind);
    kind.map_or(true, |kind| matches!(kind, MountType::Bind | MountType::Cache))
}

impl StageRun<'_, '_> {
    /// The mounts in order, and the steps whose files they hold.
    pub(super) fn mounts(
        &mut self,
        run: &Run,
        sources: &[Option<usize>],
    ) -> Result<(Vec<MountOp>, Vec<StepId>), PlanError> {
        let mut mounts = Vec::new();
        let mut inputs = Vec::new();
        let mut sockets = 0;
        for (at, flag) in run.mounts.iter().enumerate() {
            let span = self.place(flag.value.span);
            let mut unmatched = Vec::new();
            let values = flag
                .resolve(|text| {
                    let expanded = self.planner.expander.word(text, &self.state.env)?;
                    unmatched.extend(expanded.unmatched);
                    Ok(expanded.value)
                })
                .map_err(PlanError::parse(span))?;
            self.warn_unset(&unmatched);
            let source = sources.get(at).copied().flatten();
            let mount = match values.kind {
                MountType::Bind => {
                    let from = match source {
                        Some(source) => self.mount_source(source, &values, span)?,
                        None => self.planner.nodes.local(MAIN_CONTEXT),
                    };
                    inputs.push(from);
                    let (source, read_only) = (inner_path(&values), values.read_only);
                    self.mount(&values, span, MountKind::Bind { from, source, read_only })?
                }
                MountType::Cache => {
                    let from = source.map(|source| self.mount_source(source, &values, span)).transpose()?;
                    inputs.extend(from);
                    let kind = self.cache(&values, from);
                    self.mount(&values, span, kind)?
                }
                MountType::Tmpfs => {
                    let size_bytes = Some(values.size_bytes).filter(|size| *size > 0);
                    let read_only = values.read_only;
                    self.mount(&values, span, MountKind::Tmpfs { size_bytes, read_only })?
                }
                MountType::Secret => self.secret(&values, span)?,
                MountType::Ssh => {
                    sockets += 1;
                    self.ssh(&values, span, sockets - 1)?
                }
            };
            mounts.push(mount);
        }
        Ok((mounts, inputs))
    }

    fn mount(&self, values: &MountValues, span: Span, kind: MountKind) -> Result<MountOp, PlanError> {
        let target = self.resolve_path(&values.target);
        if target == "/" {
            return Err(PlanError::new(span, "invalid mount target \"/\""));
        }
        Ok(MountOp { target: Some(target), kind, span: Some(span) })
    }

    fn mount_source(&self, source: usize, values: &MountValues, span: Span) -> Result<StepId, PlanError> {
        self.root_of(source).ok_or_else(|| {
            let name = values.from.as_deref().unwrap_or_default();
            let message = format!(
                "cannot mount from stage \"{name}\" to \"{}\", stage needs to be defined before current command",
                values.target
            );
            PlanError::new(span, message)
        })
    }

    /// The files of a state that stands above this one.
    pub(super) fn root_of(&self, source: usize) -> Option<StepId> {
        if !self.planner.is_defined_before(source, self.at) {
            return None;
        }
        self.planner.results.get(source).and_then(Option::as_ref).map(|outcome| outcome.root)
    }

    fn cache(&self, values: &MountValues, from: Option<StepId>) -> MountKind {
        // The target as written, not as it is joined to the working directory.
        let id = values.id.clone().unwrap_or_else(|| gopath::clean_str(&values.target));
        let namespace = self.planner.args.given.get("BUILDKIT_CACHE_MOUNT_NS").filter(|ns| !ns.is_empty());
        MountKind::Cache {
            id: namespace.map(|namespace| format!("{namespace}/{id}")).unwrap_or(id),
            sharing: match values.sharing {
                Sharing::Shared => CacheSharing::Shared,
                Sharing::Private => CacheSharing::Private,
                Sharing::Locked => CacheSharing::Locked,
            },
            from,
            source: inner_path(values),
            read_only: values.read_only,
            uid: values.uid.unwrap_or(0),
            gid: values.gid.unwrap_or(0),
            mode: values.mode.unwrap_or(0o755) & PERMISSIONS,
        }
    }

    fn secret(&self, values: &MountValues, span: Span) -> Result<MountOp, PlanError> {
        let file_name = |path: &str| String::from_utf8_lossy(gopath::base(path.as_bytes())).into_owned();
        let id = match &values.id {
            Some(id) => id.clone(),
            None if !values.target.is_empty() => file_name(&values.target),
            None => {
                let message = "invalid secret mount. one of source, target required";
                return Err(PlanError::new(span, message));
            }
        };
        let target = match values.target.as_str() {
            "" if values.env.is_some() => None,
            "" => Some(format!("/run/secrets/{}", file_name(&id))),
            target => Some(self.resolve_path(target)),
        };
        let kind = MountKind::Secret {
            id,
            env: values.env.clone(),
            required: values.required,
            uid: values.uid.unwrap_or(0),
            gid: values.gid.unwrap_or(0),
            mode: values.mode.unwrap_or(0o400) & PERMISSIONS,
        };
        Ok(MountOp { target, kind, span: Some(span) })
    }

    fn ssh(&self, values: &MountValues, span: Span, number: usize) -> Result<MountOp, PlanError> {
        if values.source.is_some() {
            return Err(PlanError::new(span, "ssh does not support source"));
        }
        let target = match values.target.as_str() {
            "" => format!("/run/buildkit/ssh_agent.{number}"),
            target => self.resolve_path(target),
        };
        let kind = MountKind::Ssh {
            id: values.id.clone().unwrap_or_else(|| "default".to_owned()),
            required: values.required,
            uid: values.uid.unwrap_or(0),
            gid: values.gid.unwrap_or(0),
            mode: values.mode.unwrap_or(0o600) & PERMISSIONS,
        };
        Ok(MountOp { target: Some(target), kind, span: Some(span) })
    }
}

/// `source`, as an absolute path in what is mounted.
fn inner_path(values: &MountValues) -> String {
    gopath::join(&["/", values.source.as_deref().unwrap_or_default()])
}
