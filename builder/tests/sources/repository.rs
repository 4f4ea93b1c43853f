//! Real git repositories, and servers for them on loopback.

#![expect(clippy::disallowed_methods, reason = "git is the oracle here")]

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::server::{Answer, Request, Server};

/// Seconds of every commit.
pub const COMMIT_SECONDS: i64 = 1_700_000_000;

/// Git without the configuration of whoever runs the tests.
fn program(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(dir).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    for (name, value) in [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_AUTHOR_NAME", "a"),
        ("GIT_AUTHOR_EMAIL", "a@test"),
        ("GIT_COMMITTER_NAME", "a"),
        ("GIT_COMMITTER_EMAIL", "a@test"),
        ("GIT_AUTHOR_DATE", "1700000000 +0000"),
        ("GIT_COMMITTER_DATE", "1700000000 +0000"),
    ] {
        command.env(name, value);
    }
    command
}

/// A repository with a work tree.
pub struct Repository(pub PathBuf);

impl Repository {
    pub fn new(path: PathBuf) -> Repository {
        std::fs::create_dir_all(&path).unwrap();
        let repository = Repository(path);
        repository.git(&["init", "-q", "-b", "main", "."]);
        repository
    }

    /// Runs git in it; its output.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = program(&self.0).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes files and commits all; the commit's id.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, content) in files {
            let path = self.0.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn file_url(&self) -> String {
        format!("file://{}", self.0.display())
    }
}

/// `git daemon`, ended when dropped.
pub struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    /// Serves all repositories below `base`.
    pub fn start(base: &Path) -> Daemon {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = program(base);
        command
            .args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"])
            .args([format!("--port={port}"), format!("--base-path={}", base.display())])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let daemon = Daemon { child, port };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        daemon
    }

    pub fn url(&self, path: &str) -> String {
        format!("git://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The daemon proper is a child of the `git` that we started.
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        for child in std::fs::read_to_string(children).unwrap_or_default().split_whitespace() {
            Command::new("kill").arg(child).status().ok();
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Repositories below `base` by HTTP; `check` may answer before git does.
pub fn serve(base: &Path, check: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) -> Server {
    let base = base.to_owned();
    Server::start(move |request| check(request).unwrap_or_else(|| backend(&base, request)))
}

/// How often files were fetched, of the requests seen.
pub fn fetches(server: &Server) -> usize {
    let is_fetch = |body: &[u8]| body.windows(13).any(|w| w == b"command=fetch");
    server.take().iter().filter(|(request, status)| *status == 200 && is_fetch(&request.body)).count()
}

/// Runs `git http-backend` for one request.
fn backend(base: &Path, request: &Request) -> Answer {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let mut command = program(base);
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", base)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &request.method)
        .env("CONTENT_TYPE", request.header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
        .env("GIT_PROTOCOL", request.header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&request.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let mut answer = Answer::ok(&output[end + 4..]);
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        match name {
            "Status" => answer.status = value[..3].parse().unwrap(),
            _ => answer = answer.with(name, value),
        }
    }
    answer
}
