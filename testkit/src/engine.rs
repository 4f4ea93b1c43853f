//! Programs that read and run what Cooper made: skopeo, umoci, runc, podman, dockerd. All with storage of their own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::command::{Output, find_program, program};
use crate::observe::wait_for;
use crate::{is_root, skip};

/// A program, or the reason on standard output why the test does not run.
pub fn tool(name: &str) -> Option<PathBuf> {
    let found = find_program(name);
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// A command of skopeo that knows no credentials of the machine's.
pub fn skopeo(directory: &Path) -> Option<Command> {
    let mut command = program(tool("skopeo")?);
    command
        .env("HOME", directory)
        .env("REGISTRY_AUTH_FILE", no_credentials(directory))
        .env_remove("XDG_RUNTIME_DIR");
    Some(command)
}

/// Without such a file skopeo and podman look into places that may be out of reach.
fn no_credentials(directory: &Path) -> PathBuf {
    let file = directory.join("no-credentials.json");
    std::fs::write(&file, "{}").expect("the directory is ours");
    file
}

/// Podman with images and settings in one directory. It needs neither a network nor a cgroup of its own.
#[derive(Debug)]
pub struct Podman {
    directory: PathBuf,
}

impl Podman {
    /// Uses `directory`. `None`, with the reason on standard output, if podman cannot run containers here.
    pub fn new(directory: &Path) -> Option<Podman> {
        tool("podman")?;
        let podman = Podman { directory: directory.join("podman") };
        let bin = podman.directory.join("bin");
        std::fs::create_dir_all(&bin).expect("the directory is ours");
        let binary = find_program("podman").unwrap_or_default();
        std::os::unix::fs::symlink(binary, bin.join("podman")).expect("the directory is ours");
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = {0:?}\nrunroot = {1:?}\nrootless_storage_path = {0:?}\n",
            podman.directory.join("images").display(),
            podman.directory.join("run").display(),
        );
        // Machines of CI services may not raise limits.
        let mut engine = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
             netns = \"none\"\n[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"
            .to_owned();
        if find_program("runc").is_some() {
            engine.push_str("runtime = \"runc\"\n");
        }
        std::fs::write(podman.directory.join("storage.conf"), storage).expect("the directory is ours");
        std::fs::write(podman.directory.join("containers.conf"), engine).expect("the directory is ours");
        no_credentials(&podman.directory);
        let info = Output::of(&mut podman.command(["info"]));
        if !info.success() {
            skip(&format!("podman does not work here: {info}"));
            return None;
        }
        Some(podman)
    }

    /// Lets a command find this podman, and no Docker.
    pub fn offer_to<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = vec![self.directory.join("bin")];
        places.extend(std::env::split_paths(&path));
        command
            .env("CONTAINERS_STORAGE_CONF", self.directory.join("storage.conf"))
            .env("CONTAINERS_CONF", self.directory.join("containers.conf"))
            .env("DOCKER_HOST", "unix:///no/such/socket")
            .env("REGISTRY_AUTH_FILE", self.directory.join("no-credentials.json"))
            .env("PATH", std::env::join_paths(places).unwrap_or(path))
            .env_remove("XDG_RUNTIME_DIR")
    }

    /// A command of podman.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = program("podman");
        self.offer_to(&mut command).args(arguments).env("HOME", &self.directory);
        command
    }

    /// Runs an image that podman has, or that is named with its transport.
    pub fn run(&self, image: &str, arguments: &[&str]) -> Output {
        Output::of(self.command(["run", "--rm", "--tls-verify=false", image]).args(arguments))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Its mounts and files of other users go with it.
        let _ = Output::of(&mut self.command(["rmi", "--all", "--force"]));
        if !is_root() {
            let _ = Output::of(self.command(["unshare", "rm", "-rf"]).arg(self.directory.join("images")));
        }
    }
}

/// A Docker daemon with a socket of its own that touches no network of the machine; stopped when dropped.
#[derive(Debug)]
pub struct Dockerd {
    directory: PathBuf,
    process: Child,
}

impl Dockerd {
    /// Starts it. `None`, with the reason on standard output, if it cannot be.
    pub fn start(directory: &Path) -> Option<Dockerd> {
        if !is_root() {
            skip("dockerd needs root");
            return None;
        }
        tool("docker")?;
        let binary = tool("dockerd")?;
        let directory = directory.join("dockerd");
        std::fs::create_dir_all(&directory).expect("the directory is ours");
        let log = std::fs::File::create(directory.join("log")).expect("the directory is ours");
        let mut command = program(binary);
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none"]);
        for (flag, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(flag).arg(directory.join(name));
        }
        command.arg("--host").arg(socket(&directory));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().expect("dockerd is a program");
        let mut daemon = Dockerd { directory, process };
        let ready = wait_for(Duration::from_mins(1), || {
            daemon.process.try_wait().is_ok_and(|ended| ended.is_some()) || daemon.answers()
        });
        if ready && daemon.answers() {
            return Some(daemon);
        }
        let log = std::fs::read_to_string(daemon.directory.join("log")).unwrap_or_default();
        skip(&format!("dockerd does not start here: {}", log.lines().last().unwrap_or_default()));
        None
    }

    fn answers(&self) -> bool {
        Output::of(&mut self.command(["version"])).success()
    }

    /// Lets a command find this daemon.
    pub fn offer_to<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("DOCKER_HOST", socket(&self.directory))
    }

    /// A command of Docker's client.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = program("docker");
        self.offer_to(&mut command).args(arguments);
        command
    }

    /// The socket of its containerd.
    pub fn containerd(&self) -> PathBuf {
        self.directory.join("exec/containerd/containerd.sock")
    }

    /// Runs an image that the daemon has.
    pub fn run(&self, image: &str, arguments: &[&str]) -> Output {
        let limits = ["--ulimit", "nofile=1024:1024", "--network=none"];
        Output::of(self.command(["run", "--rm"]).args(limits).arg(image).args(arguments))
    }
}

fn socket(directory: &Path) -> String {
    format!("unix://{}", directory.join("socket").display())
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // Asked to end, it ends its containerd and takes its mounts away.
        let _ = Output::of(program("kill").arg(self.process.id().to_string()));
        let ended =
            wait_for(Duration::from_secs(20), || self.process.try_wait().is_ok_and(|ended| ended.is_some()));
        if !ended {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// An image unpacked by umoci.
#[derive(Debug)]
pub struct Bundle {
    directory: PathBuf,
}

impl Bundle {
    /// Unpacks `image`, a layout's path with `:tag`, into `directory`. `None`, with the reason on standard output,
    /// without umoci.
    pub fn unpack(image: &str, directory: &Path) -> Option<Bundle> {
        let umoci = tool("umoci")?;
        let mut command = program(umoci);
        command.arg("unpack");
        if !is_root() {
            command.arg("--rootless");
        }
        Output::of(command.args(["--image", image]).arg(directory)).expect_success();
        Some(Bundle { directory: directory.to_owned() })
    }

    /// The files of the image.
    pub fn root(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    /// The runtime's configuration.
    pub fn config(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.directory.join("config.json")).expect("umoci writes it");
        serde_json::from_str(&text).expect("umoci writes JSON")
    }

    /// Runs the image by runc, with other words instead of its own unless there are none. `None`, with the reason on
    /// standard output, where that is impossible.
    pub fn run(&self, words: &[String]) -> Option<Output> {
        let runc = tool("runc")?;
        if !is_root() {
            skip("runc maps one user only when it is not root: the image is run by podman");
            return None;
        }
        let mut config = self.config();
        config["process"]["terminal"] = false.into();
        if !words.is_empty() {
            config["process"]["args"] = words.into();
        }
        if let Some(process) = config["process"].as_object_mut() {
            process.remove("rlimits");
        }
        std::fs::write(self.directory.join("config.json"), config.to_string())
            .expect("the directory is ours");
        let name = self.directory.to_string_lossy().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let mut command = program(runc);
        command
            .arg("--root")
            .arg(self.directory.join("state"))
            .args(["run", "--bundle"])
            .arg(&self.directory);
        Some(Output::of(command.arg(name.trim_matches('-'))))
    }
}
