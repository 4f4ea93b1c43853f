//! `--load`: hands the image to a Docker or Podman engine through its own command.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;

use cooper_oci::Reference;

use super::archive;
use crate::assemble::Bundle;
use crate::error::{BuildError, Kind};
use crate::session::Inner;
use crate::task;

/// The engines that are tried, in this order.
const ENGINES: [&str; 2] = ["docker", "podman"];

/// Loads into the first engine that answers.
pub async fn load(session: &Arc<Inner>, bundle: Bundle, names: &[Reference]) -> Result<(), BuildError> {
    let (session, names) = (session.clone(), names.to_vec());
    task::blocking("load into engine", move || {
        let engine = ENGINES.into_iter().find(|e| answers(e)).ok_or_else(|| {
            BuildError::new(
                Kind::Config,
                "--load needs a container engine, and neither Docker nor Podman answers",
            )
            .hint("start one, or write a file with --output type=docker,dest=image.tar")
        })?;
        feed(&session, &bundle, &names, engine)
    })
    .await
}

/// A command of ours: fixed arguments, nothing of the build in them.
fn command(program: &str, arguments: &[&str]) -> std::process::Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "the engine's client is the user's own and needs the user's environment"
    )]
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    // In our user namespace Podman takes itself for root's, unless it is told whose it is (as `podman unshare` does).
    if let (Some(uid), Some(gid)) = (outer_id("uid_map"), outer_id("gid_map")) {
        command.env("_CONTAINERS_USERNS_CONFIGURED", "done");
        command.env("_CONTAINERS_ROOTLESS_UID", uid).env("_CONTAINERS_ROOTLESS_GID", gid);
    }
    command
}

/// Who we are outside of the user namespace that we entered; `None` if we did not.
fn outer_id(map: &str) -> Option<String> {
    root_of_map(&std::fs::read_to_string(format!("/proc/self/{map}")).ok()?)
}

/// The id that is root in a map of one user and subordinate ids.
fn root_of_map(map: &str) -> Option<String> {
    let fields: Vec<_> = map.lines().next()?.split_whitespace().collect();
    match fields.as_slice() {
        ["0", outer, "1"] if *outer != "0" => Some((*outer).to_owned()),
        _ => None,
    }
}

fn answers(engine: &str) -> bool {
    command(engine, &["version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

fn feed(session: &Inner, bundle: &Bundle, names: &[Reference], engine: &str) -> Result<(), BuildError> {
    let failed =
        |e: std::io::Error| BuildError::new(Kind::Config, format!("`{engine} load` failed")).caused_by(e);
    let mut child = command(engine, &["load", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut written = Ok(());
    if let Some(stdin) = child.stdin.take() {
        let mut out = std::io::BufWriter::with_capacity(1 << 20, stdin);
        written = archive::stream(session, bundle, names, true, &mut out)
            .and_then(|()| out.flush().map_err(failed));
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(BuildError::new(Kind::Config, format!("`{engine} load` failed: {said}")));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_namespace_has_somebody_else_as_root() {
        assert_eq!(
            root_of_map("         0       1000          1\n         1     100000      65536\n"),
            Some("1000".into())
        );
        assert_eq!(root_of_map("         0          0 4294967295\n"), None);
        assert_eq!(root_of_map("         0     100000      65536\n"), None);
        assert_eq!(root_of_map(""), None);
    }
}
