//! Flags of `docker buildx build` that do nothing here: refused by name, never ignored, unless they ask for what is
//! so anyway.

use clap::Args;

use crate::failure::Failure;
use crate::flags::{csv, units};

/// The flags. Hidden from the help.
#[derive(Debug, Clone, Default, Args)]
pub struct Unsupported {
    #[arg(long, hide = true)]
    annotation: Vec<String>,
    #[arg(long, hide = true)]
    attest: Vec<String>,
    #[arg(long, hide = true)]
    builder: Option<String>,
    #[arg(long, hide = true)]
    cache_from: Vec<String>,
    #[arg(long, hide = true)]
    cache_to: Vec<String>,
    #[arg(long, hide = true)]
    print: Option<String>,
    #[arg(long, hide = true)]
    cgroup_parent: Option<String>,
    #[arg(long, hide = true)]
    isolation: Option<String>,
    #[arg(long, hide = true)]
    policy: Vec<String>,
    #[arg(long, hide = true)]
    provenance: Option<String>,
    #[arg(long, hide = true)]
    resource: Vec<String>,
    #[arg(long, hide = true)]
    sbom: Option<String>,
    #[arg(long, hide = true)]
    security_opt: Vec<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    squash: Option<String>,
    #[arg(short, long, hide = true)]
    memory: Option<String>,
    #[arg(long, hide = true)]
    memory_swap: Option<String>,
    #[arg(short, long, hide = true)]
    cpu_shares: Option<String>,
    #[arg(long, hide = true)]
    cpu_period: Option<String>,
    #[arg(long, hide = true)]
    cpu_quota: Option<String>,
    #[arg(long, hide = true)]
    cpuset_cpus: Option<String>,
    #[arg(long, hide = true)]
    cpuset_mems: Option<String>,
    // Without effect since BuildKit; harmless.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    compress: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    force_rm: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rm: Option<String>,
}

impl Unsupported {
    /// Refuses the first flag that asks for something.
    pub fn refuse(&self) -> Result<(), Failure> {
        let asked = [
            ("annotation", !self.annotation.is_empty()),
            ("attest", !self.attest.iter().all(|a| is_disabled(a))),
            ("builder", self.builder.is_some()),
            ("cache-from", !self.cache_from.is_empty()),
            ("cache-to", !self.cache_to.is_empty()),
            ("print", self.print.is_some()),
            ("cgroup-parent", self.cgroup_parent.is_some()),
            ("isolation", self.isolation.as_deref().is_some_and(|i| !matches!(i, "" | "default"))),
            ("policy", !self.policy.is_empty()),
            ("provenance", is_on(self.provenance.as_deref())),
            ("resource", !self.resource.is_empty()),
            ("sbom", is_on(self.sbom.as_deref())),
            ("security-opt", !self.security_opt.is_empty()),
            ("squash", is_on(self.squash.as_deref())),
            ("memory", self.memory.is_some()),
            ("memory-swap", self.memory_swap.is_some()),
            ("cpu-shares", self.cpu_shares.is_some()),
            ("cpu-period", self.cpu_period.is_some()),
            ("cpu-quota", self.cpu_quota.is_some()),
            ("cpuset-cpus", self.cpuset_cpus.is_some()),
            ("cpuset-mems", self.cpuset_mems.is_some()),
        ];
        match asked.iter().find(|(_, asked)| *asked) {
            Some((flag, _)) => Err(Failure::usage(format!("--{flag} is not supported yet"))),
            None => Ok(()),
        }
    }
}

/// Whether a flag that may be a truth value is given and not false.
fn is_on(value: Option<&str>) -> bool {
    value.is_some_and(|v| units::truth(v) != Ok(false))
}

/// Whether an `--attest` value only switches something off.
fn is_disabled(value: &str) -> bool {
    csv::pairs(value).is_ok_and(|pairs| {
        pairs.iter().any(|(key, value)| key == "disabled" && units::truth(value) == Ok(true))
    })
}
