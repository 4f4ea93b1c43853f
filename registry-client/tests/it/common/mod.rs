pub mod chaos;
pub mod debian;
pub mod fake;
pub mod tls;

use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cooper_oci::{Descriptor, Reference, media};
use cooper_registry_client::{Client, ClientBuilder, Sleeper};

/// Notes the pauses that were asked for, and takes none.
#[derive(Default)]
pub struct NoSleep(pub Mutex<Vec<Duration>>);

impl Sleeper for NoSleep {
    fn sleep(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.lock().unwrap().push(pause);
        Box::pin(std::future::ready(()))
    }
}

pub fn builder() -> ClientBuilder {
    Client::builder().sleeper(Arc::new(NoSleep::default()))
}

pub fn reference(host: impl std::fmt::Display, rest: &str) -> Reference {
    format!("{host}/{rest}").parse().unwrap()
}

/// Bytes without a pattern that repeats soon.
pub fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

pub fn layer(bytes: &[u8]) -> Descriptor {
    Descriptor::of(media::OCI_LAYER_TAR, bytes)
}

/// A manifest of one config and one layer.
pub fn manifest(config: &Descriptor, layer: &Descriptor) -> Vec<u8> {
    let manifest = cooper_oci::Manifest::new(config.clone(), vec![layer.clone()]);
    serde_json::to_vec(&manifest).unwrap()
}

/// What the machine's own environment must not bring into a test.
const UNSET: [&str; 14] = [
    "GITHUB_ACTIONS",
    "GITHUB_TOKEN",
    "GITHUB_ACTOR",
    "DOCKER_CONFIG",
    "REGISTRY_AUTH_FILE",
    "XDG_RUNTIME_DIR",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Runs one ignored test in a network of its own: a loopback device with these addresses, and these lines in
/// `/etc/hosts`. Says so where that cannot be done.
pub fn in_own_network(name: &str, addresses: &[&str], hosts: &str) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hosts"), hosts).unwrap();
    let mut script = "mount --bind hosts /etc/hosts && ip link set lo up".to_owned();
    for address in addresses {
        let bits = if address.contains(':') { 128 } else { 32 };
        script += &format!(" && ip address add {address}/{bits} dev lo");
    }
    let unshared = |script: &str| {
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "--net", "sh", "-c", script, "sh"])
            .current_dir(dir.path());
        for variable in UNSET {
            command.env_remove(variable);
        }
        command.env("HOME", dir.path());
        command
    };
    if !unshared(&script).output().is_ok_and(|done| done.status.success()) {
        let text = format!("skipped: {name} needs unshare, iproute2 and a network namespace\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        return;
    }
    let mut command = unshared(&format!("{script} && exec \"$@\""));
    command.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--ignored", "--nocapture"]);
    passed(&mut command);
}

/// Runs one ignored test in a child of this process, with another environment.
pub fn rerun(name: &str, dir: &Path, variables: &[(&str, &Path)]) {
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    for variable in UNSET {
        command.env_remove(variable);
    }
    command.env("HOME", dir).env("PATH", format!("{}:{path}", dir.display())).envs(variables.iter().copied());
    passed(&mut command);
}

fn passed(command: &mut Command) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
