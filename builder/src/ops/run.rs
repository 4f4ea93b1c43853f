//! RUN: one command in a container, its overlay upper directory as the layer.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_frontend::graph::{MountKind as PlannedMount, NetworkMode, RunOp, StepId};
use cooper_sandbox::{Child, ExitStatus, Killer, Network, ProcessUser, Resource, Spec, TargetKind};
use cooper_snapshotter::{Active, LayerInfo, Stub, StubKind};
use cooper_sys::fs;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::ahead::Ahead;
use super::mounts::{self, HeldMounts};
use super::{layer, rootfs_of, unpack};
use crate::error::{BuildError, Kind};
use crate::event::Stream;
use crate::rootfs::Rootfs;
use crate::solver::key::Inputs;
use crate::solver::{Build, LayerStep, Output};
use crate::task;

/// A RUN with its inputs.
pub struct RunStep<'a> {
    op: &'a RunOp,
    base: Rootfs,
    inputs: &'a HashMap<StepId, Output>,
}

impl<'a> RunStep<'a> {
    /// Binds the op to its inputs.
    pub fn new(op: &'a RunOp, inputs: &'a HashMap<StepId, Output>) -> Result<Self, BuildError> {
        Ok(RunStep { op, base: rootfs_of(inputs, op.base)?, inputs })
    }
}

impl LayerStep for RunStep<'_> {
    fn kind(&self) -> &'static str {
        "run"
    }

    fn words(&self, _shown: &str) -> String {
        // As written: an ARG in it is an input with a name of its own.
        self.op.argv.join(" ")
    }

    fn base(&self) -> &Rootfs {
        &self.base
    }

    async fn inputs(&self, build: &Arc<Build>) -> Result<Inputs, BuildError> {
        let op = self.op;
        let mut inputs = Inputs::default();
        inputs.add("op", "run");
        inputs.add("parent layers", self.base.identity());
        for (n, arg) in op.argv.iter().enumerate() {
            inputs.add(format!("argument {n}"), arg);
        }
        for (name, value) in &op.env {
            inputs.add(format!("ENV or ARG {name}"), value);
        }
        inputs.add("WORKDIR", &op.cwd);
        inputs.add("USER", &op.user);
        inputs.add("network", format!("{:?}", op.network));
        inputs.add("security", if op.insecure { "insecure" } else { "sandbox" });
        inputs.add("host name", &op.hostname);
        if let Some(size) = op.shm_size_bytes {
            inputs.add("shm size", size.to_string());
        }
        // Whom a name means may change from build to build.
        for (name, _) in &op.extra_hosts {
            inputs.add(format!("host {name}"), "");
        }
        for (name, soft, hard) in &op.ulimits {
            inputs.add(format!("ulimit {name}"), format!("{soft}:{hard}"));
        }
        for script in &op.scripts {
            inputs.add(format!("script {}", script.name), blake3::hash(&script.content).to_hex().to_string());
        }
        mounts::key_inputs(build, &op.mounts, self.inputs, &mut inputs).await?;
        Ok(inputs)
    }

    async fn run(&self, build: &Arc<Build>, step: usize) -> Result<LayerInfo, BuildError> {
        let permit =
            build.session.run_slots.clone().acquire_owned().await.map_err(|_| BuildError::cancelled())?;
        build.session.expect_containers();
        unpack(build, &self.base).await?;
        let held = mounts::prepare(build, step, &self.op.mounts, self.inputs).await?;
        let ignore_cache =
            build.graph.dag[petgraph::graph::NodeIndex::new(step - build.first_step)].ignore_cache;
        let pipe = |e: std::io::Error| BuildError::new(Kind::Config, "cannot make a pipe").caused_by(e);
        let (stdout, child_stdout) = std::io::pipe().map_err(pipe)?;
        let (stderr, child_stderr) = std::io::pipe().map_err(pipe)?;
        let out = forward(build, step, Stream::Stdout, stdout.into());
        let err = forward(build, step, Stream::Stderr, stderr.into());
        let (tell, told) = oneshot::channel();
        let mut leash = Leash(told);
        // One thread does it all: each change of threads would cost more than many a step.
        let work = {
            let (build, op, base) = (build.clone(), self.op.clone(), self.base.clone());
            task::blocking("run command", move || {
                let outputs = [child_stdout.into(), child_stderr.into()];
                let Running { mut child, active, held } =
                    start(&build, &op, &base, held, ignore_cache, outputs)?;
                if let Err(killer) = tell.send(child.killer()) {
                    killer.kill();
                }
                let ahead = Ahead::start(&build, step, &active)?;
                let archive = layer::begin_archive(&build, step, &base);
                let status = child.wait().map_err(|e| {
                    BuildError::new(Kind::Internal, "the command could not be waited for").caused_by(e)
                })?;
                if build.cancel.is_cancelled() {
                    return Err(BuildError::cancelled());
                }
                check(&op, status)?;
                drop(held);
                layer::commit_with(&build, step, active, ahead.map(Ahead::finish), archive)
            })
        };
        let all = async { tokio::join!(work, out, err) };
        tokio::pin!(all);
        let (layer, (), ()) = tokio::select! {
            done = &mut all => done,
            () = async {
                build.cancel.cancelled().await;
                leash.pull().await;
            } => all.await
        };
        drop(permit);
        if build.cancel.is_cancelled() {
            return Err(BuildError::cancelled());
        }
        layer
    }
}

/// A started command and what must live as long as it.
struct Running {
    child: Child,
    active: Active,
    held: HeldMounts,
}

/// Kills the command when it is pulled or dropped, also one that has not been started yet.
struct Leash(oneshot::Receiver<Killer>);

impl Leash {
    async fn pull(&mut self) {
        if let Ok(killer) = (&mut self.0).await {
            killer.kill();
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.close();
        if let Ok(killer) = self.0.try_recv() {
            killer.kill();
        }
    }
}

fn start(
    build: &Build,
    op: &RunOp,
    base: &Rootfs,
    mut held: HeldMounts,
    ignore_cache: bool,
    [stdout, stderr]: [OwnedFd; 2],
) -> Result<Running, BuildError> {
    let store = &build.session.store;
    mounts::open_cache_mounts(build, &op.mounts, &mut held, ignore_cache)?;
    let mut sandbox_mounts = held.sandbox_mounts(op)?;
    sandbox_mounts.extend(mounts::scripts(op));
    // As with BuildKit, the three file systems of the kernel leave their directories in an image that lacks them.
    let kernel = ["/proc", "/dev", "/sys"].map(Path::new);
    let stubs: Vec<Stub> = cooper_sandbox::mount_targets(&sandbox_mounts)
        .into_iter()
        .filter(|(path, _)| !kernel.contains(&path.as_path()))
        .map(|(path, kind)| Stub {
            path,
            kind: match kind {
                TargetKind::Dir => StubKind::Dir,
                TargetKind::File => StubKind::File,
            },
        })
        .collect();
    let active = store.prepare(base.chain(), &stubs)?;
    let root = active.root();
    let user = resolve_user(root, &op.user)?;
    fs::mkdir_all_in_root(root, Path::new(&op.cwd), 0o755, |_, _| Ok(())).map_err(|e| {
        BuildError::user(format!("the working directory {} cannot be used", op.cwd)).caused_by(e)
    })?;
    let env = environment(op, &held, root, &user);
    let spec = Spec {
        root: active.detached_root()?,
        argv: op.argv.iter().map(OsString::from).collect(),
        env,
        cwd: PathBuf::from(&op.cwd),
        user,
        hostname: op.hostname.clone(),
        network: if op.network == NetworkMode::None { Network::None } else { Network::Host },
        insecure: op.insecure,
        mounts: sandbox_mounts,
        hosts: hosts_file(op),
        resolv_conf: std::fs::read("/etc/resolv.conf").unwrap_or_default(),
        shm_size_bytes: op.shm_size_bytes.unwrap_or(0),
        rlimits: limits(op)?,
        stdout,
        stderr,
    };
    let child = cooper_sandbox::start(spec).map_err(|e| {
        let error = BuildError::user(format!("{}: {e}", describe(op)));
        if e.to_string().contains("exec format error") {
            return error.hint(
                "the image is for another architecture: let the kernel run it with an emulator (Debian: qemu-user-static), \
                 or build that stage with FROM --platform=$BUILDPLATFORM",
            );
        }
        error
    })?;
    Ok(Running { child, active, held })
}

fn limits(op: &RunOp) -> Result<Vec<(Resource, u64, u64)>, BuildError> {
    op.ulimits
        .iter()
        .map(|(name, soft, hard)| {
            let resource: Resource = Resource::ALL
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, r)| *r)
                .ok_or_else(|| BuildError::user(format!("--ulimit: unknown limit {name}")))?;
            Ok((resource, *soft, *hard))
        })
        .collect()
}

/// `USER` as the image's own files understand it; empty means root.
pub(crate) fn resolve_user(root: BorrowedFd<'_>, user: &str) -> Result<ProcessUser, BuildError> {
    let user = if user.is_empty() { "0" } else { user };
    cooper_sandbox::resolve_user(root, user).map_err(|e| {
        BuildError::user(e.to_string())
            .hint("USER takes names from the image's /etc/passwd and /etc/group, or numbers")
    })
}

fn environment(
    op: &RunOp,
    held: &HeldMounts,
    root: BorrowedFd<'_>,
    user: &ProcessUser,
) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: &str, value: &std::ffi::OsStr| {
        env.retain(|(n, _)| n != name);
        env.push((name.into(), value.into()));
    };
    for (name, value) in op.env.iter().chain(&op.proxy_env) {
        set(name, value.as_ref());
    }
    for (name, value) in held.secret_env() {
        set(name, value);
    }
    let has = |name: &str, env: &[(OsString, OsString)]| env.iter().any(|(n, _)| n == name);
    if !has("PATH", &env) {
        env.push(("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()));
    }
    if env.iter().all(|(name, value)| name != "HOME" || value.is_empty()) {
        env.retain(|(name, _)| name != "HOME");
        env.push(("HOME".into(), cooper_sandbox::home_of(root, user.uid).into_os_string()));
    }
    env
}

fn hosts_file(op: &RunOp) -> Vec<u8> {
    let mut text =
        format!("127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n", op.hostname);
    for (name, address) in &op.extra_hosts {
        let _ = writeln!(text, "{address}\t{name}");
    }
    text.into_bytes()
}

async fn forward(build: &Arc<Build>, step: usize, stream: Stream, pipe: OwnedFd) {
    let Ok(mut pipe) = tokio::net::unix::pipe::Receiver::from_owned_fd(pipe) else { return };
    let mut buffer = vec![0; 32 << 10];
    // Zero bytes: the container is gone, which closes its ends.
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        build.events.send_output(step, stream, buffer[..n].to_vec()).await;
    }
}

fn describe(op: &RunOp) -> String {
    format!("process \"{}\" did not complete successfully", op.argv.join(" "))
}

fn check(op: &RunOp, status: ExitStatus) -> Result<(), BuildError> {
    match status {
        ExitStatus::Code(0) => Ok(()),
        ExitStatus::Code(code) => Err(BuildError::user(format!("{}: exit code: {code}", describe(op)))),
        ExitStatus::Signal(9) => Err(BuildError::user(format!("{}: it was killed (signal 9)", describe(op)))
            .hint("if nobody killed it, the machine probably ran out of memory")),
        ExitStatus::Signal(signal) => {
            Err(BuildError::user(format!("{}: killed by signal {signal}", describe(op))))
        }
    }
}

/// True for mounts whose files come from another step.
pub(crate) fn source_step(kind: &PlannedMount) -> Option<(StepId, &str)> {
    match kind {
        PlannedMount::Bind { from, source, .. } | PlannedMount::Cache { from: Some(from), source, .. } => {
            Some((*from, source))
        }
        _ => None,
    }
}
