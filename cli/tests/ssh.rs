//! `--ssh` against OpenSSH's own programs: agent, client, server.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use cooper_testkit::{Context, Output, Sshd, can_build, program, tool, wait_for};

/// Writes a key pair by ssh-keygen; the private half's path.
fn key(context: &Context, name: &str, flags: &[&str]) -> PathBuf {
    let path = context.dir().join("keys").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut command = program("ssh-keygen");
    command.args(["-q", "-C", name, "-f"]).arg(&path).args(flags);
    if !flags.contains(&"-N") {
        command.args(["-N", ""]);
    }
    Output::of(&mut command).expect_success();
    path
}

fn public(key: &Path) -> String {
    std::fs::read_to_string(key.with_extension("pub")).unwrap()
}

/// A context with this machine's ssh and ssh-add, and the libraries that they need, below `root/`.
fn with_client(context: &Context) -> PathBuf {
    let root = context.dir().join("project/root");
    for name in ["ssh", "ssh-add"] {
        let binary = tool(name).unwrap();
        let listed = Output::of(program("ldd").arg(&binary)).expect_success().stdout;
        let libraries = listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
        for file in libraries.chain([binary]) {
            // Where the base has links, what they lead to is named.
            let file = file.parent().unwrap().canonicalize().unwrap().join(file.file_name().unwrap());
            let target = root.join(file.strip_prefix("/").unwrap());
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(&file, &target).unwrap();
        }
    }
    context.dir().join("project")
}

/// A real agent with a key; ends with this value.
struct Agent(Child, PathBuf);

impl Agent {
    fn with(context: &Context, key: &Path) -> Agent {
        let socket = context.dir().join("agent");
        let mut command = program("ssh-agent");
        command.args(["-D", "-a"]).arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
        let agent = Agent(command.spawn().unwrap(), socket);
        assert!(wait_for(Duration::from_secs(30), || agent.1.exists()));
        Output::of(agent.command("ssh-add").arg(key)).expect_success();
        agent
    }

    fn command(&self, name: &str) -> std::process::Command {
        let mut command = program(name);
        command.env("SSH_AUTH_SOCK", &self.1);
        command
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ready() -> bool {
    can_build() && ["ssh", "ssh-add", "ssh-agent", "ssh-keygen"].iter().all(|name| tool(name).is_some())
}

/// Builds with `--ssh` values and gives the files of the result.
fn build(context: &Context, project: &Path, ssh: &[&str]) -> (Output, PathBuf) {
    let out = context.dir().join("out");
    let output = format!("type=local,dest={}", out.display());
    let mut words = vec!["--output", output.as_str(), project.to_str().unwrap()];
    words.extend(ssh.iter().flat_map(|value| ["--ssh", *value]));
    (context.build(words), out)
}

#[test]
fn keys_of_every_kind_from_files_open_a_real_server() {
    if !ready() {
        return;
    }
    let context = Context::new("ssh-keys");
    let kinds: [(&str, &[&str]); 7] = [
        ("ed25519", &["-t", "ed25519"]),
        ("rsa", &["-t", "rsa", "-b", "3072"]),
        ("rsa-pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("rsa-pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        ("p256-pem", &["-t", "ecdsa", "-b", "256", "-m", "PEM"]),
        ("p256-pkcs8", &["-t", "ecdsa", "-b", "256", "-m", "PKCS8"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
    ];
    let keys: Vec<PathBuf> = kinds.iter().map(|(name, flags)| key(&context, name, flags)).collect();
    let public: Vec<String> = keys.iter().map(|key| public(key)).collect();
    let Some(server) = Sshd::start(context.dir(), &public) else { return };
    if !server.lets_in(&keys[0]) {
        return;
    }
    let project = with_client(&context);
    for (n, text) in public.iter().enumerate() {
        context.write(&format!("project/keys/{n}.pub"), text);
    }
    context.write("project/known_hosts", server.known_host());
    let dockerfile = format!(
        "FROM busybox AS client\nCOPY root /\nRUN ln -s usr/lib64 /lib64\nCOPY keys /keys\nCOPY known_hosts /\n\
         RUN --mount=type=ssh mkdir /out && ssh-add -L > /out/listed && ! ssh-add -D && \
         for key in /keys/*.pub; do \
           ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o UserKnownHostsFile=/known_hosts \
             -i $key -p {} {} echo in with $key >> /out/said || exit 1; done\n\
         FROM scratch\nCOPY --from=client /out /\n",
        server.port(),
        server.login(),
    );
    context.write("project/Dockerfile", dockerfile);
    let list: Vec<&str> = keys.iter().map(|key| key.to_str().unwrap()).collect();
    let (built, out) = build(&context, &project, &[&format!("default={}", list.join(","))]);
    built.expect_success();
    let said = std::fs::read_to_string(out.join("said")).unwrap();
    let all: Vec<String> = (0..keys.len()).map(|n| format!("in with /keys/{n}.pub")).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), all);
    // Kind and key; the comment is there where the format keeps one.
    let words = |text: &str| {
        text.lines().map(|l| l.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let listed = std::fs::read_to_string(out.join("listed")).unwrap();
    assert_eq!(words(&listed), words(&public.concat()));
    assert!(listed.contains(" ed25519\n"), "{listed}");
}

#[test]
fn an_agent_is_used_and_not_changed_unless_it_is_raw() {
    if !ready() {
        return;
    }
    let context = Context::new("ssh-agent");
    let agent = Agent::with(&context, &key(&context, "only", &["-t", "ed25519"]));
    let project = with_client(&context);
    context.write(
        "project/Dockerfile",
        "FROM busybox AS client\nCOPY root /\nRUN ln -s usr/lib64 /lib64\n\
         RUN --mount=type=ssh,id=one,required mkdir /out && ssh-add -l > /out/listed; ssh-add -D 2> /out/told; true\n\
         FROM scratch\nCOPY --from=client /out /\n",
    );
    let held = || Output::of(agent.command("ssh-add").arg("-l"));
    let plain = format!("one={}", agent.1.display());
    let (built, out) = build(&context, &project, &[&plain]);
    built.expect_success();
    let listed = std::fs::read_to_string(out.join("listed")).unwrap();
    assert!(listed.contains("only (ED25519)"), "{listed}");
    assert_eq!(held().expect_success().stdout, listed);
    context.write("project/root/changed", "");
    build(&context, &project, &[&format!("{plain},raw=true")]).0.expect_success();
    assert!(held().stdout.contains("no identities"), "a raw socket lets everything pass");
    context.write("project/root/changed", "again");
    let refused = build(&context, &project, &[]).0.expect_code(1);
    assert!(refused.stderr.contains("no SSH key \"one\" forwarded"), "{refused}");
}

#[test]
fn keys_that_cannot_be_used_are_refused_before_the_build() {
    if tool("ssh-keygen").is_none() {
        return;
    }
    let context = Context::new("ssh-refused");
    context.write("project/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    let project = context.dir().join("project");
    for (name, flags, want) in [
        ("openssh", &["-t", "ed25519", "-N", "secret"][..], "passphrase protected"),
        ("pem", &["-t", "rsa", "-m", "PEM", "-N", "secret"], "passphrase protected"),
        ("pkcs8", &["-t", "ecdsa", "-m", "PKCS8", "-N", "secret"], "passphrase protected"),
        ("p521", &["-t", "ecdsa", "-b", "521"], "neither RSA, nor ECDSA P-256 or P-384, nor Ed25519"),
        ("small", &["-t", "rsa", "-b", "1024"], "2048 to 4096 bits"),
    ] {
        let path = key(&context, name, flags);
        let refused = build(&context, &project, &[&format!("default={}", path.display())]).0.expect_code(2);
        assert!(
            refused.stderr.contains(want) && refused.stderr.contains(path.to_str().unwrap()),
            "{refused}"
        );
    }
}

#[test]
fn repositories_of_a_real_server_are_fetched_if_its_key_is_known() {
    if !ready() || tool("git").is_none() {
        return;
    }
    let context = Context::new("ssh-git");
    let key = key(&context, "deploy", &["-t", "ed25519"]);
    let Some(server) = Sshd::start(context.dir(), &[public(&key)]) else { return };
    if !server.lets_in(&key) {
        return;
    }
    let repository = context.dir().join("git/app");
    let url = server.url(&repository);
    context.write("git/app/Dockerfile", format!("FROM scratch\nCOPY hello /\nADD {url} /added/\n"));
    context.write("git/app/hello", "from a server\n");
    for words in [&["init", "-q", "-b", "main"][..], &["add", "-A"], &["commit", "-q", "-m", "x"]] {
        let mut git = program("git");
        git.current_dir(&repository).args(["-c", "user.name=a", "-c", "user.email=a@test"]).args(words);
        Output::of(&mut git).expect_success();
    }
    let out = context.dir().join("out");
    let output = format!("type=local,dest={}", out.display());
    let build = |flags: &[&str], socket: Option<&Path>| {
        let mut command = context.command(["build", "--output", &output]);
        command.args(flags).arg(format!("{url}#main")).env_remove("SSH_AUTH_SOCK");
        if let Some(socket) = socket {
            command.env("SSH_AUTH_SOCK", socket);
        }
        Output::of(&mut command)
    };
    let flag = format!("default={}", key.display());
    let unknown = build(&["--ssh", &flag], None).expect_code(3);
    assert!(unknown.stderr.contains("known_hosts"), "{unknown}");
    context.write(".ssh/known_hosts", server.known_host());
    let without = build(&[], None).expect_code(3);
    assert!(without.stderr.contains("--ssh default"), "{without}");
    build(&["--ssh", &flag], None).expect_success();
    for file in ["hello", "added/hello"] {
        assert_eq!(std::fs::read_to_string(out.join(file)).unwrap(), "from a server\n");
    }
    // The session's agent serves a context that comes by ssh without being asked for.
    std::fs::remove_dir_all(&out).unwrap();
    let agent = Agent::with(&context, &key);
    build(&["--no-cache"], Some(&agent.1)).expect_success();
    assert!(out.join("hello").is_file());
}
