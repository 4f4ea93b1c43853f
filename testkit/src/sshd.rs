//! A real sshd on a port of this machine, for whoever runs the tests.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::command::{Output, program};
use crate::{is_root, skip, tool, wait_for};

/// A running sshd; stopped when dropped.
#[derive(Debug)]
pub struct Sshd {
    directory: PathBuf,
    address: SocketAddr,
    user: String,
    process: Child,
}

impl Sshd {
    /// Lets the owners of `keys`, public ones, in. `None`, with the reason on standard output, if that is impossible.
    pub fn start(directory: &Path, keys: &[String]) -> Option<Sshd> {
        let binary = tool("sshd")?;
        let directory = directory.join("sshd");
        std::fs::create_dir_all(&directory).expect("the directory is ours");
        if is_root() {
            // Where it locks itself in while nobody has logged in.
            std::fs::create_dir_all("/run/sshd").expect("root may make directories");
        }
        let host_key = directory.join("host_key");
        Output::of(program("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&host_key))
            .expect_success();
        std::fs::write(directory.join("authorized_keys"), keys.join("\n")).expect("the directory is ours");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        drop(listener);
        let config = directory.join("config");
        let place = directory.display();
        let text = format!(
            "ListenAddress {address}\nHostKey {place}/host_key\nAuthorizedKeysFile {place}/authorized_keys\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n\
             MaxAuthTries 20\nMaxStartups 100\n"
        );
        std::fs::write(&config, text).expect("the directory is ours");
        let log = std::fs::File::create(directory.join("log")).expect("the directory is ours");
        let mut command = program(binary);
        command.args(["-D", "-e", "-f"]).arg(&config);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let process = process.expect("sshd is a program");
        let user = Output::of(program("id").arg("-un")).expect_success().stdout.trim().to_owned();
        let mut server = Sshd { directory, address, user, process };
        let ready = wait_for(Duration::from_secs(30), || {
            server.process.try_wait().is_ok_and(|ended| ended.is_some())
                || TcpStream::connect(address).is_ok()
        });
        if ready && TcpStream::connect(address).is_ok() {
            return Some(server);
        }
        skip(&format!("sshd does not start here: {}", server.log()));
        None
    }

    /// `user@address`.
    pub fn login(&self) -> String {
        format!("{}@{}", self.user, self.address.ip())
    }

    /// Its port.
    pub fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// The URL of a path on it.
    pub fn url(&self, path: &Path) -> String {
        format!("ssh://{}:{}{}", self.login(), self.port(), path.display())
    }

    /// Its line for `known_hosts`.
    pub fn known_host(&self) -> String {
        let key = std::fs::read_to_string(self.directory.join("host_key.pub")).expect("ssh-keygen wrote it");
        format!("[{}]:{} {key}", self.address.ip(), self.port())
    }

    /// Whether it lets the owner of a private key in; says why not.
    pub fn lets_in(&self, key: &Path) -> bool {
        let known = self.directory.join("known_hosts");
        std::fs::write(&known, self.known_host()).expect("the directory is ours");
        let mut command = program("ssh");
        command.args(["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"]).arg(key);
        command.arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
        let done = Output::of(command.args(["-p", &self.port(), &self.login(), "true"]));
        if !done.success() {
            skip(&format!("sshd lets {} not in here: {done}{}", self.user, self.log()));
        }
        done.success()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
