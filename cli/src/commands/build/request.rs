//! From the flags of `build` to a build request. Everything wrong with the command line is found here, before work.

use std::io::Read;

use cooper_builder::request::{BuildRequest, OutputKind};
use cooper_frontend::graph::{NetworkMode, NoCache};
use cooper_oci::Platform;

use super::call::Call;
use super::{BuildArgs, context};
use crate::failure::Failure;
use crate::flags::pairs::{self, Environment};
use crate::flags::{hosts, output, secret, units};
use crate::progress::Mode;
use crate::ui;

/// A request, and what the command does beside it.
#[derive(Debug)]
pub struct Prepared {
    /// What the builder is asked.
    pub request: BuildRequest,
    /// How progress is shown, not yet resolved.
    pub progress: Mode,
    /// Whether an output takes standard output.
    pub stdout_taken: bool,
    /// A question that is asked instead of a build.
    pub call: Option<Call>,
}

impl BuildArgs {
    /// Reads all flags; `stdin` only for `-`.
    pub fn prepare(&self, environment: Environment<'_>, stdin: &mut dyn Read) -> Result<Prepared, Failure> {
        self.unsupported.refuse()?;
        let call = Call::parse(self.call.as_deref(), self.check)?;
        let usage = Failure::usage::<String>;
        let outputs = output::outputs(&self.outputs, self.push, self.load).map_err(usage)?;
        for o in outputs.iter().filter(|o| o.kind == OutputKind::Registry) {
            if self.tags.is_empty() && o.names.is_empty() {
                return Err(usage("tag is needed when pushing to registry".to_owned()));
            }
        }
        let (allow_network_host, allow_insecure) = self.entitlements()?;
        let network = self.network_mode()?;
        let platforms = self.platforms(environment)?;
        let no_cache = self.no_cache()?;
        let (context, dockerfile) = context::resolve(self.context.as_deref(), self.file.as_deref(), stdin)?;
        let mut ssh = secret::ssh(&self.ssh, environment).map_err(usage)?;
        if context.is_over_ssh() {
            secret::ssh_of_context(&mut ssh, environment);
        }
        let request = BuildRequest {
            context,
            dockerfile,
            target: self.target.clone().filter(|t| !t.is_empty()),
            build_args: pairs::build_args(&self.build_args, environment).map_err(usage)?,
            build_contexts: pairs::contexts(&self.build_contexts).map_err(usage)?,
            labels: pairs::labels(&self.labels).map_err(usage)?,
            platforms,
            no_cache,
            pull: self.pull,
            network,
            // Asking for the host's network is allowing it.
            allow_network_host: allow_network_host || network == Some(NetworkMode::Host),
            allow_insecure,
            extra_hosts: pairs::comma_lists(&self.add_hosts)
                .iter()
                .map(|h| hosts::parse(h))
                .collect::<Result<_, _>>()
                .map_err(usage)?,
            shm_size_bytes: self
                .shm_size
                .as_deref()
                .map(units::bytes)
                .transpose()
                .map_err(|e| usage(format!("--shm-size: {e}")))?,
            ulimits: self
                .ulimits
                .iter()
                .map(|u| units::ulimit(u))
                .collect::<Result<_, _>>()
                .map_err(usage)?,
            secrets: secret::secrets(&self.secrets, environment).map_err(usage)?,
            ssh,
            tags: self.tags.clone(),
            outputs,
            strict: self.strict,
        };
        let stdout_taken = request.outputs.iter().any(output::writes_to_stdout);
        let progress = if self.quiet { Mode::Quiet } else { self.progress };
        Ok(Prepared { request, progress, stdout_taken, call })
    }

    fn entitlements(&self) -> Result<(bool, bool), Failure> {
        let (mut network, mut insecure) = (false, false);
        for allow in pairs::comma_lists(&self.allow) {
            match allow.as_str() {
                "network.host" => network = true,
                "security.insecure" => insecure = true,
                other => return Err(Failure::usage(format!("--allow {other} is not supported yet"))),
            }
        }
        Ok((network, insecure))
    }

    fn network_mode(&self) -> Result<Option<NetworkMode>, Failure> {
        Ok(match self.network.as_deref() {
            None | Some("" | "default") => None,
            Some("none") => Some(NetworkMode::None),
            Some("host") => Some(NetworkMode::Host),
            Some(other) => {
                return Err(Failure::usage(format!(
                    "--network {other:?} is not supported: use default, none or host"
                )));
            }
        })
    }

    fn platforms(&self, environment: Environment<'_>) -> Result<Vec<Platform>, Failure> {
        let mut names = pairs::comma_lists(&self.platforms);
        if names.is_empty() {
            names.extend(environment("DOCKER_DEFAULT_PLATFORM").filter(|p| !p.is_empty()));
        }
        let mut platforms = Vec::new();
        for name in names {
            let platform = if name == "local" {
                Platform::host()
            } else {
                Platform::parse(&name).map_err(|e| Failure::usage(format!("--platform {name:?}: {e}")))?
            };
            if platforms.contains(&platform) {
                ui::note(&format!("--platform names {platform} more than once; it is built once"));
            } else {
                platforms.push(platform);
            }
        }
        Ok(platforms)
    }

    fn no_cache(&self) -> Result<NoCache, Failure> {
        let stages = pairs::comma_lists(&self.no_cache_filter);
        match (self.no_cache, stages.is_empty()) {
            (true, false) => Err(Failure::usage("cannot combine --no-cache and --no-cache-filter")),
            (true, true) => Ok(NoCache::Always),
            (false, false) => Ok(NoCache::Stages(stages)),
            (false, true) => Ok(NoCache::Never),
        }
    }
}

#[cfg(test)]
mod tests;
