//! `--load`: hands the image to a Docker or Podman engine through its own command.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use cooper_oci::{Digest, Reference};
use tokio::runtime::Handle;

use super::feeding::Feeding;
use crate::assemble::Bundle;
use crate::error::{BuildError, Kind};
use crate::growing::Growing;
use crate::session::Inner;
use crate::task::{self, Task};

/// The engines that are tried, in this order.
const ENGINES: [&str; 2] = ["docker", "podman"];

/// An engine that was given a layer before the image was whole.
#[derive(Default)]
pub struct Begun(Mutex<Option<Head>>);

struct Head {
    feeding: Task<Option<Feeding>>,
    /// The layer, when it is known.
    diff_id: Option<Digest>,
}

impl Begun {
    /// Begins to give a layer of so many bytes, which is being written, to the first engine of [`ENGINES`]; if that does
    /// not answer, nothing comes of it. To be called from a thread of the runtime.
    pub fn begin(&self, layer: &Arc<Growing>, size_bytes: u64) {
        let mut tar = layer.reader(0, Handle::current());
        let work = task::blocking("feed engine", move || {
            let engine = ENGINES[0];
            let mut feeding = Feeding::start(engine, load_command(engine))?;
            let begun = feeding.begin(&mut tar, size_bytes);
            Ok(begun.is_ok().then_some(feeding))
        });
        let feeding = task::spawn(async { work.await.ok().flatten() });
        *self.lock() = Some(Head { feeding, diff_id: None });
    }

    /// The layer that was begun with is whole.
    pub fn has_all_of(&self, diff_id: &Digest) {
        if let Some(head) = self.lock().as_mut() {
            head.diff_id = Some(diff_id.clone());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Head>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Head {
    /// The engine, if it is this one and waits for the rest of this image.
    async fn feeding(self, engine: &str, bundle: &Bundle) -> Option<(Feeding, Digest)> {
        let diff_id = self.diff_id?;
        let is_in = bundle.images.iter().any(|i| i.layers.iter().any(|(_, d)| d.digest == diff_id));
        if !is_in || engine != ENGINES[0] {
            return None;
        }
        Some((self.feeding.join().await.ok()??, diff_id))
    }
}

/// Loads into the first engine that answers. What it has already is not sent.
pub async fn load(session: &Arc<Inner>, bundle: Bundle, names: &[Reference]) -> Result<(), BuildError> {
    let (bundle, names) = (Arc::new(bundle), Arc::new(names.to_vec()));
    let begun = session.begun.lock().take();
    let asked = {
        let (bundle, names) = (bundle.clone(), names.clone());
        task::blocking("ask engine", move || look(&bundle, &names)).await?
    };
    let Some((engine, known)) = asked else { return Ok(()) };
    for image in &bundle.images {
        super::fetch_all(session, image).await?;
    }
    if let Some(begun) = begun
        && let Some((feeding, layer)) = begun.feeding(engine, &bundle).await
    {
        let (session, bundle, names) = (session.clone(), bundle.clone(), names.clone());
        let rest = move || feeding.finish(&session, &bundle, &names, known, Some(layer));
        // If something came in between, it gets all of it once more.
        if task::blocking("load into engine", rest).await.is_ok() {
            return Ok(());
        }
    }
    session.forms.settle().await?;
    let session = session.clone();
    task::blocking("load into engine", move || {
        let feed = |known| {
            Feeding::start(engine, load_command(engine))?.finish(&session, &bundle, &names, known, None)
        };
        match feed(known) {
            // An engine that drops these layers just now gets them all.
            Err(_) if known > 0 => feed(0),
            result => result,
        }
    })
    .await
}

fn load_command(engine: &str) -> Command {
    command(engine, &["load", "--quiet"])
}

/// The first engine that answers, and how many of the lowest layers it has; `None` if it has the image.
fn look(bundle: &Bundle, names: &[Reference]) -> Result<Option<(&'static str, usize)>, BuildError> {
    for engine in ENGINES {
        let found = held(engine, bundle, names);
        if found.len() == names.len().max(1) && found.iter().all(|image| is_whole(image, bundle)) {
            return Ok(None);
        }
        if !found.is_empty() || answers(engine) {
            return Ok(Some((engine, known_layers(engine, &found, bundle))));
        }
    }
    Err(BuildError::new(
        Kind::Config,
        "--load needs a container engine, and neither Docker nor Podman answers",
    )
    .hint("start one, or write a file with --output type=docker,dest=image.tar"))
}

/// An image of an engine.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Held {
    /// Of its config, or of its manifest where the engine's images are containerd's.
    id: String,
    #[serde(default, rename = "RootFS")]
    root_fs: HeldLayers,
    #[serde(default)]
    graph_driver: HeldDriver,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HeldLayers {
    layers: Vec<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HeldDriver {
    name: String,
}

/// What an engine has under these names, or, without names, of this image.
fn held(engine: &str, bundle: &Bundle, names: &[Reference]) -> Vec<Held> {
    let Some(image) = bundle.images.first() else { return Vec::new() };
    let mut wanted: Vec<String> = names.iter().map(ToString::to_string).collect();
    if wanted.is_empty() {
        wanted.push(image.manifest.config.digest.to_string());
    }
    let mut arguments = vec!["image", "inspect"];
    arguments.extend(wanted.iter().map(String::as_str));
    let asked = command(engine, &arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    // It prints those that it has even if one is missing.
    asked.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok()).unwrap_or_default()
}

fn is_whole(held: &Held, bundle: &Bundle) -> bool {
    bundle.images.first().is_some_and(|image| {
        let id = held.id.strip_prefix("sha256:").unwrap_or(&held.id);
        id == image.manifest.config.digest.hex() || id == bundle.descriptor.digest.hex()
    })
}

/// How many of the lowest layers an engine has already. `docker load` looks a layer up before it reads it, in the stores
/// of these drivers; in containerd's it does not.
fn known_layers(engine: &str, held: &[Held], bundle: &Bundle) -> usize {
    let Some(image) = bundle.images.first().filter(|_| engine == "docker") else { return 0 };
    let ours = image.layers.iter().map(|(diff_id, _)| diff_id.as_str());
    let common = |held: &Held| {
        let theirs = held.root_fs.layers.iter().map(String::as_str);
        ours.clone().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count()
    };
    let looks = held.iter().filter(|held| matches!(held.graph_driver.name.as_str(), "overlay2" | "vfs"));
    looks.map(common).max().unwrap_or(0)
}

/// A command of ours: fixed arguments, nothing of the build in them.
fn command(program: &str, arguments: &[&str]) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "the engine's client is the user's own and needs the user's environment"
    )]
    let mut command = Command::new(program);
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
