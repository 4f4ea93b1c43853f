//! A push of many layers that is killed, and the next one: the registry keeps the blobs that were complete, so only the
//! rest is sent. docker-registry throws away an upload that breaks off, so what was on its way is lost.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use cooper_testkit::{Context, Registry, can_build};

const LAYERS: u64 = 160;
const LAYER_BYTES: u64 = 256 << 10;

/// A door to a registry that counts what goes in, and shuts for good when so much did.
struct Gate {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    shut: Receiver<()>,
}

impl Gate {
    fn before(registry: &str, most: u64) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(AtomicU64::new(0));
        let (tell, shut) = channel();
        let (count, registry) = (sent.clone(), registry.to_owned());
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let (count, tell) = (count.clone(), tell.clone());
                let Ok(server) = TcpStream::connect(&registry) else { continue };
                let (mut back, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut answers, &mut back);
                    let _ = back.shutdown(Shutdown::Both);
                });
                std::thread::spawn(move || pass(client, server, &count, most, &tell));
            }
        });
        Gate { address, sent, shut }
    }
}

fn pass(mut client: TcpStream, mut server: TcpStream, count: &AtomicU64, most: u64, tell: &Sender<()>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(n) = client.read(&mut buffer) {
        if n == 0 || server.write_all(&buffer[..n]).is_err() {
            break;
        }
        if count.fetch_add(n as u64, Ordering::SeqCst) + n as u64 >= most {
            let _ = tell.send(());
            // Nothing more goes in; the connections stay until the client ends.
            while client.read(&mut buffer).is_ok_and(|n| n > 0) {}
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
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
        // What no compression makes smaller.
        let mut content = Vec::new();
        while (content.len() as u64) < LAYER_BYTES {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend(state.to_le_bytes());
        }
        context.write(&format!("project/{n}"), content);
        writeln!(dockerfile, "COPY {n} /{n}").unwrap();
    }
    let whole = LAYERS * LAYER_BYTES;
    let first = Gate::before(&registry.host(), whole / 5 * 4);
    let name = format!("{}/app:1", first.address);
    context.build_text(&dockerfile, &["-t", &name]);
    let mut push = context.command(["push", "-q", &name]);
    let mut push = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    first.shut.recv().unwrap();
    push.kill().unwrap();
    push.wait().unwrap();
    assert!(first.sent.load(Ordering::SeqCst) >= whole / 5 * 4);

    // The same repository by another door, which stays open.
    let second = Gate::before(&registry.host(), u64::MAX);
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
