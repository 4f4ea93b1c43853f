//! RUN.

use super::PlanError;
use super::dispatch::{StageRun, heredoc_file_name};
use crate::ast::{Run, ShellOrExec, Source};
use crate::expand::Env;
use crate::graph::{InlineFile, MountKind, NetworkMode, Op, RunOp};

const DEFAULT_HOSTNAME: &str = "buildkitsandbox";
/// Where scripts are found in the container.
const SCRIPTS: &str = "/dev/pipes";

impl StageRun<'_, '_> {
    pub(super) fn run_command(
        &mut self,
        run: &Run,
        source: &Source,
        sources: &[Option<usize>],
    ) -> Result<(), PlanError> {
        let mut shown = source.original.clone();
        let mut scripts = Vec::new();
        let argv = match (run.script(source), &run.command) {
            (Some(heredoc), _) => {
                shown = format!("{shown} ({})", summary(&heredoc.text()));
                let body = heredoc.body();
                if body.starts_with(b"#!") && self.state.image.os != "windows" {
                    let name = heredoc_file_name(&heredoc.name)
                        .map_err(|message| self.error(source.span, message))?;
                    let path = format!("{SCRIPTS}/{name}");
                    scripts.push(InlineFile { name, content: body, mode: 0o755 });
                    self.with_shell(&path)
                } else {
                    self.with_shell(&String::from_utf8_lossy(&body))
                }
            }
            (None, ShellOrExec::Shell(_)) => self.with_shell(&run.shell_text(source).unwrap_or_default()),
            (None, ShellOrExec::Exec(argv)) => argv.clone(),
        };
        if argv.is_empty() {
            return Err(self.error(source.span, "arguments are required"));
        }
        let (mounts, mut inputs) = self.mounts(run, sources)?;
        let mut env = self.state.env.clone();
        let agent = mounts.iter().find_map(|mount| match mount.kind {
            MountKind::Ssh { .. } => mount.target.as_deref(),
            _ => None,
        });
        if let Some(socket) = agent
            && env.get("SSH_AUTH_SOCK").is_none()
        {
            env.set("SSH_AUTH_SOCK", socket);
        }
        let masked: Vec<&str> = mounts
            .iter()
            .filter_map(|mount| match &mount.kind {
                MountKind::Secret { env, .. } => env.as_deref(),
                _ => None,
            })
            .collect();
        let shown = self.shown(&shown, &masked);
        let name = self.step_name(&shown);
        let created_by = format!("RUN {} # buildkit", self.run_text(&argv));
        self.warn_devices(run)?;
        self.warn_doubled(run, source);
        let args = &self.planner.args;
        let hostname = args.given.get("BUILDKIT_SANDBOX_HOSTNAME").filter(|name| !name.is_empty());
        let options = self.planner.options;
        let op = RunOp {
            base: self.state.root,
            argv,
            env: env.to_vec(),
            proxy_env: args.proxies.clone(),
            cwd: if self.state.cwd.is_empty() { "/".to_owned() } else { self.state.cwd.clone() },
            user: self.state.image.config.user.clone(),
            network: self.network(run)?,
            insecure: self.insecure(run)?,
            mounts,
            scripts,
            hostname: hostname.map_or(DEFAULT_HOSTNAME, String::as_str).to_owned(),
            extra_hosts: options.extra_hosts.clone(),
            shm_size_bytes: options.shm_size_bytes.filter(|size| *size > 0),
            ulimits: options.ulimits.clone(),
        };
        inputs.insert(0, self.state.root);
        let ignore_cache = self.ignore_cache;
        self.state.root = self.add_step(Op::Run(Box::new(op)), name, ignore_cache, &inputs);
        self.commit(created_by, true);
        Ok(())
    }

    /// The command as the history shows it: the ARGs in scope, each with its value at this point, then the words.
    fn run_text(&self, argv: &[String]) -> String {
        let mut args: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &self.state.args {
            let value = self.state.env.get(name).or(value.as_deref()).unwrap_or_default();
            match args.iter_mut().find(|(known, _)| known == name) {
                Some(known) => known.1 = value,
                None => args.push((name, value)),
            }
        }
        let mut words = Vec::new();
        if !args.is_empty() {
            words.push(format!("|{}", args.len()));
            words.extend(args.into_iter().map(|(name, value)| format!("{name}={value}")));
        }
        words.extend(argv.iter().cloned());
        words.join(" ")
    }

    fn network(&self, run: &Run) -> Result<NetworkMode, PlanError> {
        let overall = self.planner.options.network;
        let Some(mode) = &run.network else { return Ok(overall.unwrap_or(NetworkMode::Default)) };
        match mode.as_str() {
            "default" => Ok(overall.unwrap_or(NetworkMode::Default)),
            "none" => Ok(NetworkMode::None),
            "host" if self.planner.options.allow_network_host || overall == Some(NetworkMode::Host) => {
                Ok(NetworkMode::Host)
            }
            "host" => Err(self
                .error(mode.span, "network.host is not allowed")
                .with_hint("pass --allow network.host to let this step use the host's network".to_owned())),
            other => Err(self.error(mode.span, format!("invalid network mode \"{other}\""))),
        }
    }

    fn insecure(&self, run: &Run) -> Result<bool, PlanError> {
        let Some(mode) = &run.security else { return Ok(false) };
        match mode.as_str() {
            "sandbox" => Ok(false),
            "insecure" if self.planner.options.allow_insecure => Ok(true),
            "insecure" => Err(self.error(mode.span, "security.insecure is not allowed").with_hint(
                "pass --allow security.insecure to let this step run without a sandbox".to_owned(),
            )),
            other => Err(self.error(mode.span, format!("security \"{other}\" is not valid"))),
        }
    }

    /// Devices are optional unless they say otherwise, and there are none here.
    fn warn_devices(&mut self, run: &Run) -> Result<(), PlanError> {
        for device in &run.devices {
            let name = &device.name;
            if device.required {
                let message = format!("required device \"{name}\" is not available");
                return Err(self.error(device.span, message));
            }
            let span = self.span;
            self.planner.warn("DeviceUnavailable", span, format!("Device \"{name}\" is not available"));
        }
        Ok(())
    }
}

/// First line of a heredoc.
fn summary(text: &str) -> String {
    let mut lines = text.trim().lines();
    let first = lines.next().unwrap_or_default();
    if lines.next().is_some() { format!("{first}...") } else { first.to_owned() }
}
