//! Transfers that are killed, and the next ones. Of a push of many layers, the registry keeps the blobs that were
//! complete, so only the rest is sent; docker-registry throws away an upload that breaks off, so what was on its way is
//! lost. Of a pull, what was received of a large blob is kept.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use cooper_testkit::{Context, Door, Output, Registry, can_build, program, wait_for};

const LAYERS: u64 = 160;
const LAYER_BYTES: u64 = 256 << 10;

/// A door to a registry that counts what goes one way, and shuts for good when so much did.
struct Gate {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    shut: Receiver<()>,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl Gate {
    fn before(registry: &str, way: Way, most: u64) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(AtomicU64::new(0));
        let (tell, shut) = channel();
        let (count, registry) = (sent.clone(), registry.to_owned());
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let (count, tell) = (count.clone(), tell.clone());
                let Ok(server) = TcpStream::connect(&registry) else { continue };
                let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (counted, (mut from, mut to)) = match way {
                    Way::In => ((client, server), (server_too, client_too)),
                    Way::Out => ((server, client), (client_too, server_too)),
                };
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                std::thread::spawn(move || pass(counted.0, counted.1, &count, most, &tell));
            }
        });
        Gate { address, sent, shut }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64, most: u64, tell: &Sender<()>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 || to.write_all(&buffer[..n]).is_err() {
            break;
        }
        if count.fetch_add(n as u64, Ordering::SeqCst) + n as u64 >= most {
            let _ = tell.send(());
            // Nothing more goes through; the connections stay until the client ends.
            while from.read(&mut buffer).is_ok_and(|n| n > 0) {}
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// What no compression makes smaller.
fn noise(state: &mut u64, bytes: u64) -> Vec<u8> {
    let mut content = Vec::new();
    while (content.len() as u64) < bytes {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        content.extend(state.to_le_bytes());
    }
    content
}

#[test]
fn a_pull_that_was_killed_goes_on_where_it_was() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let whole = 40 << 20;
    let maker = Context::new("to-pull");
    maker.write("project/noise", noise(&mut 7, whole));
    maker.build_text("FROM scratch\nCOPY noise /\n", &["-t", &registry.image("app:1"), "--push"]);
    let context = Context::new("killed-pull");
    let first = Gate::before(&registry.host(), Way::Out, whole / 5 * 4);
    let mut pull = context.command(["pull", "-q", &format!("{}/app:1", first.address)]);
    let mut pull = pull.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    first.shut.recv().unwrap();
    pull.kill().unwrap();
    pull.wait().unwrap();

    let second = Gate::before(&registry.host(), Way::Out, u64::MAX);
    let name = format!("{}/app:1", second.address);
    context.run(["pull", "-q", &name]).expect_success();
    let fetched = second.sent.load(Ordering::SeqCst);
    // What was on its way through sockets and buffers is lost.
    assert!(fetched <= whole / 3 * 2, "{fetched} of {whole} bytes were fetched again");
    let tar = context.dir().join("x.tar");
    context.run(["export", "-q", "-o", tar.to_str().unwrap(), &name]).expect_success();
    assert!(tar.metadata().unwrap().len() > whole);
    assert_eq!(context.store().join("partial").read_dir().unwrap().count(), 0);
}

#[test]
fn a_push_that_was_killed_at_80_percent_costs_the_next_one_a_quarter_at_most() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("killed-push");
    let mut dockerfile = "FROM scratch\n".to_owned();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for n in 0..LAYERS {
        context.write(&format!("project/{n}"), noise(&mut state, LAYER_BYTES));
        writeln!(dockerfile, "COPY {n} /{n}").unwrap();
    }
    let whole = LAYERS * LAYER_BYTES;
    let first = Gate::before(&registry.host(), Way::In, whole / 5 * 4);
    let name = format!("{}/app:1", first.address);
    context.build_text(&dockerfile, &["-t", &name]);
    let mut push = context.command(["push", "-q", &name]);
    let mut push = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    first.shut.recv().unwrap();
    push.kill().unwrap();
    push.wait().unwrap();
    assert!(first.sent.load(Ordering::SeqCst) >= whole / 5 * 4);

    // The same repository by another door, which stays open.
    let second = Gate::before(&registry.host(), Way::In, u64::MAX);
    let again = format!("{}/app:1", second.address);
    context.run(["tag", &name, &again]).expect_success();
    let digest = context.run(["push", "-q", &again]).expect_success().stdout;
    let sent = second.sent.load(Ordering::SeqCst);
    assert!(sent <= whole / 4, "{sent} of {whole} bytes were sent again");
    // All of it is there.
    let other = Context::new("killed-pull");
    let image = registry.image("app:1");
    assert_eq!(other.run(["pull", "-q", &image]).expect_success().stdout, digest);
    let tar = other.dir().join("x.tar");
    other.run(["export", "-q", "-o", tar.to_str().unwrap(), &image]).expect_success();
    assert!(tar.metadata().unwrap().len() > whole);
}

#[test]
fn a_crash_leaves_no_core_with_what_was_secret() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("core");
    let door = Door::before(&registry.host(), "HEAD ", 0, 0);
    // Where dumps are wished for.
    let mut shell = program("sh");
    shell.args(["-c", "ulimit -S -c $(ulimit -H -c); exec \"$@\"", "sh"]);
    shell.arg(context.cooper()).args(["digest", &door.image("app:1")]);
    shell.env("HOME", context.dir()).current_dir(context.dir());
    let mut process = shell.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    door.wait_for(&mut process, 1);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let cores = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert!(["0", "1"].contains(&cores.split_whitespace().next().unwrap()), "{cores}");
    Output::of(program("kill").args(["-s", "ABRT", &process.id().to_string()])).expect_success();
    if !wait_for(Duration::from_mins(1), || process.try_wait().unwrap().is_some()) {
        process.kill().unwrap();
    }
    let status = process.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}
