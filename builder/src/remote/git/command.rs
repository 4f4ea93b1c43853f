//! The `git` program, run without any of the machine's configuration.
//!
//! Owns: its environment (nothing is inherited but the search path, proxies and certificates), its limits, and the way
//! credentials take. A user name and password are given by a credential helper that git asks for one origin only, so
//! they follow no redirect; a header secret switches redirects off. Both travel in the environment, never in arguments
//! or files. Hooks, prompts, monitors and other transports than the listed ones are off.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cooper_registry_client::NetworkPolicy;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::Location;
use crate::error::{BuildError, Kind};
use crate::remote::{Fetcher, host_names};
use crate::ssh::{Forward, SshAgent};

/// The longest path of a socket (unix(7)).
const MAX_SOCKET_BYTES: usize = 107;
const TIME: Duration = Duration::from_hours(1);
const MAX_OUTPUT_BYTES: u64 = 64 << 20;
/// Of messages; the last ones count.
const MAX_MESSAGE_BYTES: u64 = 1 << 20;
/// No file that git writes may be larger: in units of 512 bytes.
const MAX_FILE_BLOCKS: &str = "134217728";
/// Variables of our own environment that git and its transports may see.
const PASSED: [&str; 13] = [
    "PATH",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];

/// What a server is shown of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Credential {
    /// User name and password.
    Login(String, String),
    /// The value of an `Authorization` header.
    Header(String),
}

/// Runs git for one location.
pub struct Git<'f> {
    fetcher: &'f Fetcher,
    /// Where it works, and its home.
    dir: PathBuf,
    environment: Vec<(OsString, OsString)>,
    shown: String,
    _agent: Option<Forward>,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[error("git {command}: {message}")]
pub struct GitFailure {
    command: String,
    message: String,
}

impl<'f> Git<'f> {
    /// Git for `location`, working in an empty directory of ours.
    pub fn new(fetcher: &'f Fetcher, location: &Location, dir: &Path) -> Result<Git<'f>, BuildError> {
        let mut config: Vec<(String, String)> = [
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("core.logAllRefUpdates", "false"),
            ("core.protectHFS", "true"),
            ("core.protectNTFS", "true"),
            ("core.attributesFile", "/dev/null"),
            ("core.excludesFile", "/dev/null"),
            ("init.defaultBranch", "master"),
            ("init.templateDir", ""),
            ("advice.detachedHead", "false"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("protocol.version", "2"),
            ("fetch.recurseSubmodules", "false"),
            ("credential.helper", ""),
            ("http.lowSpeedLimit", "100"),
            ("http.lowSpeedTime", "60"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        if fetcher.session.policy() == NetworkPolicy::Public {
            config.push(("http.followRedirects".into(), "false".into()));
        }
        let mut environment: Vec<(OsString, OsString)> = Vec::new();
        let mut set = |name: &str, value: OsString| environment.push((name.into(), value));
        for name in PASSED {
            if let Some(value) = std::env::var_os(name) {
                set(name, value);
            }
        }
        let is_file = location.url.as_ref().is_some_and(|url| url.scheme() == "file");
        let protocols = if is_file { "https:ssh:git:http:file" } else { "https:ssh:git:http" };
        for (name, value) in [
            ("HOME", dir.as_os_str()),
            ("LC_ALL", "C".as_ref()),
            ("GIT_CONFIG_NOSYSTEM", "1".as_ref()),
            ("GIT_CONFIG_GLOBAL", "/dev/null".as_ref()),
            ("GIT_ATTR_NOSYSTEM", "1".as_ref()),
            ("GIT_TERMINAL_PROMPT", "0".as_ref()),
            ("GIT_ASKPASS", "true".as_ref()),
            ("SSH_ASKPASS", "true".as_ref()),
            ("GIT_ALLOW_PROTOCOL", protocols.as_ref()),
        ] {
            set(name, value.to_owned());
        }
        set("GIT_SSH_COMMAND", ssh_command());
        let agent = agent(fetcher, location)?;
        if let Some((socket, _)) = &agent {
            set("SSH_AUTH_SOCK", socket.clone().into_os_string());
        }
        if let (Some(credential), Some(url)) = (credential(fetcher, location)?, &location.url) {
            let origin = url.origin().ascii_serialization();
            match credential {
                Credential::Login(user, password) => {
                    let helper = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \
                                  \"$COOPER_GIT_USER\" \"$COOPER_GIT_PASSWORD\"; }; f";
                    config.push((format!("credential.{origin}.helper"), helper.into()));
                    set("COOPER_GIT_USER", user.into());
                    set("COOPER_GIT_PASSWORD", password.into());
                }
                Credential::Header(value) => {
                    config.push((format!("http.{origin}/.extraHeader"), format!("Authorization: {value}")));
                    config.push(("http.followRedirects".into(), "false".into()));
                }
            }
        }
        set("GIT_CONFIG_COUNT", config.len().to_string().into());
        for (index, (key, value)) in config.into_iter().enumerate() {
            set(&format!("GIT_CONFIG_KEY_{index}"), key.into());
            set(&format!("GIT_CONFIG_VALUE_{index}"), value.into());
        }
        let forward = agent.and_then(|(_, forward)| forward);
        let shown = location.remote.clone();
        Ok(Git { fetcher, dir: dir.to_owned(), environment, shown, _agent: forward })
    }

    /// Judges the server by the network policy, before git connects to it.
    pub async fn judge(&self, location: &Location) -> Result<(), BuildError> {
        let host = match &location.url {
            Some(url) => url.host_str(),
            None => {
                location.remote.split_once('@').and_then(|(_, rest)| rest.split_once(':')).map(|(h, _)| h)
            }
        };
        let Some(host) = host else { return Ok(()) };
        self.fetcher
            .session
            .http
            .judge(host)
            .await
            .map_err(|e| BuildError::new(Kind::Remote, format!("cannot fetch {}", self.shown)).caused_by(e))
    }

    /// Where it works.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs a command, and gives what it wrote to standard output. An inner failure is git's own.
    pub async fn try_run(&self, arguments: &[&str]) -> Result<Result<String, GitFailure>, BuildError> {
        let work = async {
            match tokio::time::timeout(TIME, self.execute(arguments)).await {
                Ok(result) => result,
                Err(_) => {
                    Err(BuildError::new(Kind::Remote, format!("git takes too long with {}", self.shown)))
                }
            }
        };
        self.fetcher.unless_cancelled(work).await
    }

    /// Runs a command that has to succeed.
    pub async fn run(&self, arguments: &[&str]) -> Result<String, BuildError> {
        self.try_run(arguments).await?.map_err(|failure| self.refused(failure))
    }

    /// A failure as the user sees it.
    pub fn refused(&self, failure: GitFailure) -> BuildError {
        let hint = hint(&failure.message, &self.shown);
        let error = BuildError::new(Kind::Remote, format!("cannot fetch {}", self.shown)).caused_by(failure);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    async fn execute(&self, arguments: &[&str]) -> Result<Result<String, GitFailure>, BuildError> {
        // The shell sets what only the process itself can: the mode of new files, and how large they may grow. It leaves
        // somebody behind who waits for the end of standard input, which is ours: however we end, the group ends.
        let mut command = tokio::process::Command::new("sh");
        command
            .args([
                "-c",
                "umask 022; ulimit -f \"$1\" 2>/dev/null; shift; exec 3<&0 </dev/null; \
                 (read -r end <&3; kill -KILL 0) >/dev/null 2>&1 & \
                 exec 3<&-; exec git \"$@\"",
                "sh",
                MAX_FILE_BLOCKS,
            ])
            .args(arguments)
            .current_dir(&self.dir)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let failed = |e: std::io::Error| BuildError::new(Kind::Config, "cannot run git").caused_by(e);
        let mut child = command.spawn().map_err(failed)?;
        let group = Group::of(&child);
        // Waiting for the child would close it.
        let lifeline = child.stdin.take();
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (out, err, status) =
            tokio::join!(read(out, MAX_OUTPUT_BYTES), read(err, MAX_MESSAGE_BYTES), child.wait());
        let status = status.map_err(failed)?;
        group.gone();
        drop(lifeline);
        if status.success() {
            return Ok(Ok(String::from_utf8_lossy(&out).into_owned()));
        }
        if status.code() == Some(127) {
            return Err(BuildError::new(
                Kind::Config,
                format!("git is needed for {}, and it is not installed", self.shown),
            )
            .hint("install git"));
        }
        // After `-C DIRECTORY`, if that is there.
        let at = if arguments.first() == Some(&"-C") { 2 } else { 0 };
        let command = arguments.get(at).copied().unwrap_or_default().to_owned();
        Ok(Err(GitFailure { command, message: essence(&String::from_utf8_lossy(&err)) }))
    }
}

/// The processes of one command: all of them end when it is given up.
struct Group(Option<rustix::process::Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Group {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Group(id.and_then(rustix::process::Pid::from_raw))
    }

    fn gone(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails if all of them have ended already.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Reads all, and keeps so much of it: the writer must not wait.
async fn read(from: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut from) = from {
        // What a failed read leaves is told by the exit status.
        let _ = (&mut from).take(most).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    kept
}

/// The agent that ssh may ask, as a socket; keys from files get one for this while.
fn agent(fetcher: &Fetcher, location: &Location) -> Result<Option<(PathBuf, Option<Forward>)>, BuildError> {
    let over_http = location.url.as_ref().is_some_and(|url| matches!(url.scheme(), "http" | "https" | "git"));
    let keys = match fetcher.request.ssh.get("default") {
        Some(SshAgent::Agent(socket) | SshAgent::Raw(socket)) => return Ok(Some((socket.clone(), None))),
        Some(keys @ SshAgent::Keys(_)) if !over_http => keys,
        _ => return Ok(None),
    };
    let directory = fetcher.session.store.temp_dir("ssh")?;
    let socket = directory.join("agent");
    if socket.as_os_str().len() > MAX_SOCKET_BYTES {
        // Best effort: the store removes what stays.
        let _ = cooper_sys::fs::remove_tree(&directory);
        let message = format!("the store's path is too long for a socket: {}", socket.display());
        return Err(BuildError::new(Kind::Config, message)
            .hint("choose a shorter --root, or give the socket of a running agent"));
    }
    let own = cooper_sys::fs::fstat(cooper_sys::fs::open_dir(&directory)?)?;
    let forward = Forward::new(directory, keys.clone(), own.uid, own.gid, 0o600)?;
    Ok(Some((socket, Some(forward))))
}

/// Host keys must be known; nothing of the user's configuration of ssh counts.
fn ssh_command() -> OsString {
    let mut command = OsString::from("ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes");
    if let Some(home) = std::env::var_os("HOME")
        && !home.as_bytes().contains(&b'\'')
        && !home.as_bytes().contains(&b'"')
    {
        command.push(" -o 'UserKnownHostsFile=\"");
        command.push(home);
        command.push("/.ssh/known_hosts\"'");
    }
    command
}

/// A secret for this server before one for all, a header before a token, both before what the URL holds.
fn credential(fetcher: &Fetcher, location: &Location) -> Result<Option<Credential>, BuildError> {
    let Some(url) = location.url.as_ref().filter(|url| matches!(url.scheme(), "http" | "https")) else {
        return Ok(None);
    };
    let suffixes = host_names(url).into_iter().map(|host| format!(".{host}")).chain([String::new()]);
    for suffix in suffixes {
        if let Some(value) = fetcher.secret(&format!("GIT_AUTH_HEADER{suffix}"))? {
            return one_line(value).map(|value| Some(Credential::Header(value)));
        }
        if let Some(value) = fetcher.secret(&format!("GIT_AUTH_TOKEN{suffix}"))? {
            return one_line(value).map(|value| Some(Credential::Login("x-access-token".into(), value)));
        }
    }
    Ok(location.login.clone().map(|(user, password)| Credential::Login(user, password)))
}

fn one_line(value: String) -> Result<String, BuildError> {
    if value.contains(char::is_control) {
        return Err(BuildError::user("a secret for git is no single line of text"));
    }
    Ok(value)
}

/// The lines that say what is wrong, each once.
fn essence(message: &str) -> String {
    let mut seen = HashSet::new();
    let lines = || message.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling = |line: &&str| {
        ["fatal:", "error:", "remote:", "ssh:", "warning: redirecting"].iter().any(|w| line.starts_with(w))
    };
    let mut found: Vec<&str> = lines().filter(telling).filter(|line| seen.insert(*line)).take(6).collect();
    if found.is_empty() || found.iter().all(|line| line.contains("Could not read from remote repository")) {
        found = lines().filter(|line| !line.starts_with("Cloning into")).collect();
        let skip = found.len().saturating_sub(6);
        found.drain(..skip);
    }
    found.join("; ")
}

fn hint(message: &str, remote: &str) -> Option<String> {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    Some(if has(&["Host key verification failed"]) {
        "add the server's key to ~/.ssh/known_hosts, from a source that you trust".into()
    } else if has(&["Permission denied"]) && !remote.starts_with("http") {
        "give an agent that holds the key: --ssh default".into()
    } else if has(&[
        "Authentication failed",
        "could not read Username",
        "terminal prompts disabled",
        "returned error: 40",
    ]) {
        "give a token: --secret id=GIT_AUTH_TOKEN,env=NAME".into()
    } else if has(&["redirect", "returned error: 30"]) {
        "name the URL that the server redirects to".into()
    } else if has(&["Could not resolve host", "Connection refused", "unable to connect", "timed out"]) {
        "check the URL and the network".into()
    } else if has(&[
        "not found",
        "does not appear to be a git repository",
        "does not exist",
        "Could not read from remote",
    ]) {
        "check the URL; a private repository needs a token: --secret id=GIT_AUTH_TOKEN,env=NAME".into()
    } else if has(&["not allowed"]) {
        "only https, ssh, git and http are fetched".into()
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_to_what_they_say() {
        let text = "Cloning into 'x'...\nfatal: a\nfatal: a\nsome noise\nerror: b\n";
        assert_eq!(essence(text), "fatal: a; error: b");
        let ssh = "No key is known for h\nHost key verification failed.\r\nfatal: Could not read from remote repository.\n";
        assert!(essence(ssh).contains("Host key verification failed"));
        assert!(hint(&essence(ssh), "git@h:x").is_some_and(|h| h.contains("known_hosts")));
    }
}
