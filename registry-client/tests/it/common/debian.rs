//! Debian's docker-registry, started on a free loopback port and ended with its process.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub struct Registry {
    pub host: String,
    child: Child,
    _dir: TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a registry; `None`, with the reason printed, if it is not installed.
pub fn start(user: Option<(&str, &str)>) -> Option<Registry> {
    start_with(user, "")
}

/// Starts a registry that speaks TLS.
pub fn start_tls(certificate: &Path, key: &Path) -> Option<Registry> {
    let tls = format!(", tls: {{certificate: {}, key: {}}}", certificate.display(), key.display());
    start_with(None, &tls)
}

fn start_with(user: Option<(&str, &str)>, http: &str) -> Option<Registry> {
    (0..3).find_map(|_| try_start(user, http)).or_else(|| {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"skipped: docker-registry does not start (Debian package docker-registry)\n",
        );
        None
    })
}

fn try_start(user: Option<(&str, &str)>, http: &str) -> Option<Registry> {
    let dir = tempfile::tempdir().unwrap();
    let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut config = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage:\n  delete: {{enabled: true}}\n  filesystem: {{rootdirectory: {}}}\nhttp: {{addr: \"{host}\"{http}}}\n",
        dir.path().join("data").display()
    );
    if let Some((name, password)) = user {
        let output = Command::new("htpasswd").args(["-Bbn", name, password]).output();
        let Ok(output) = output else {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                b"skipped: no htpasswd (Debian package apache2-utils)\n",
            );
            return None;
        };
        let file = dir.path().join("htpasswd");
        std::fs::write(&file, output.stdout).unwrap();
        config += &format!("auth:\n  htpasswd: {{realm: test, path: {}}}\n", file.display());
    }
    let file = dir.path().join("config.yml");
    std::fs::write(&file, config).unwrap();
    let mut child = Command::new("docker-registry")
        .arg("serve")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("listening on"));
    // Keep the pipe empty, or the registry stops at a full one.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    let registry = Registry { host, child, _dir: dir };
    ready.then_some(registry)
}
