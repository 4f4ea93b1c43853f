//! Debian's docker-registry on a free port of this machine, with storage of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::command::{Output, find_program, program};
use crate::skip;

/// User of a registry that wants a password.
pub const USER: &str = "alice";
/// Her password.
pub const PASSWORD: &str = "correct horse";

/// So long a registry may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running registry; stopped when dropped.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    process: Child,
    directory: TempDir,
}

impl Registry {
    /// A registry that serves everyone. `None`, with the reason on standard output, if the program is missing.
    pub fn start() -> Option<Registry> {
        Self::start_with(false)
    }

    /// A registry that serves [`USER`] with [`PASSWORD`] only.
    pub fn start_with_password() -> Option<Registry> {
        Self::start_with(true)
    }

    fn start_with(password: bool) -> Option<Registry> {
        let Some(binary) = find_program("docker-registry") else {
            skip("docker-registry is not installed");
            return None;
        };
        let directory = tempfile::Builder::new().prefix("cooper-registry-").tempdir();
        let directory = directory.expect("a temporary directory can be made");
        let users = directory.path().join("htpasswd");
        if password {
            let Some(htpasswd) = find_program("htpasswd") else {
                skip("htpasswd (package apache2-utils) is not installed");
                return None;
            };
            let line = Output::of(program(htpasswd).args(["-nbB", USER, PASSWORD])).expect_success();
            std::fs::write(&users, line.stdout).expect("the directory is ours");
        }
        // Somebody may take the port after we found it free: then another one.
        let mut log = String::new();
        for _ in 0..5 {
            let address = free_address();
            let config = configuration(address, directory.path(), password.then_some(&users));
            let mut process = launch(&binary, directory.path(), &config);
            if answers(address, &mut process) {
                return Some(Registry { address, process, directory });
            }
            stop(&mut process);
            log = read_log(directory.path());
            if !log.contains("address already in use") {
                break;
            }
        }
        panic!("docker-registry did not start:\n{log}");
    }

    /// Host and port, as the first part of an image's name.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The name of an image in it.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// How many requests of this method had `part` in their path.
    pub fn requests(&self, method: &str, part: &str) -> usize {
        let start = format!("] \"{method} /v2/");
        let log = self.log();
        let paths = log.lines().filter_map(|line| line.split_once(&start)?.1.split(' ').next());
        paths.filter(|path| path.contains(part)).count()
    }

    /// The directories of unfinished uploads to a repository. Of an upload that it was told to forget, the registry
    /// leaves a directory without data.
    pub fn unfinished(&self, repository: &str) -> Vec<PathBuf> {
        let dir = format!("storage/docker/registry/v2/repositories/{repository}/_uploads");
        let entries = std::fs::read_dir(self.directory.path().join(dir)).into_iter().flatten();
        let paths = entries.map(|entry| entry.expect("the directory is ours").path());
        paths.filter(|path| path.join("data").exists()).collect()
    }

    /// Loses a blob, `sha256:…`.
    pub fn lose(&self, digest: &str) {
        let hex = digest.trim_start_matches("sha256:");
        let dir = format!("storage/docker/registry/v2/blobs/sha256/{}/{hex}", &hex[..2]);
        std::fs::remove_dir_all(self.directory.path().join(dir)).expect("it has the blob");
    }

    /// What the registry wrote.
    pub fn log(&self) -> String {
        read_log(self.directory.path())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        stop(&mut self.process);
    }
}

fn stop(process: &mut Child) {
    // It may have ended by itself.
    let _ = process.kill();
    let _ = process.wait();
}

fn read_log(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("log")).unwrap_or_default()
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("it is bound")
}

/// The registry's settings; JSON is YAML.
fn configuration(address: SocketAddr, directory: &Path, users: Option<&PathBuf>) -> String {
    let mut config = serde_json::json!({
        "version": 0.1,
        "log": { "level": "info" },
        "storage": {
            "filesystem": { "rootdirectory": directory.join("storage") },
            "delete": { "enabled": true },
        },
        "http": { "addr": address.to_string() },
    });
    if let Some(users) = users {
        config["auth"] = serde_json::json!({ "htpasswd": { "realm": "test", "path": users } });
    }
    config.to_string()
}

fn launch(binary: &Path, directory: &Path, config: &str) -> Child {
    let file = directory.join("config.yml");
    std::fs::write(&file, config).expect("the directory is ours");
    let log = std::fs::File::create(directory.join("log")).expect("the directory is ours");
    let requests = log.try_clone().expect("it is open");
    program(binary)
        .arg("serve")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(requests)
        .stderr(log)
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {}: {e}", binary.display()))
}

/// Waits until the registry answers; false if it ended instead.
fn answers(address: SocketAddr, process: &mut Child) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if !matches!(process.try_wait(), Ok(None)) {
            return false;
        }
        if ask(address)
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 401"))
        {
            return true;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    false
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
