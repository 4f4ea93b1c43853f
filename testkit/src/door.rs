//! A door to a registry where requests get stuck, so that a test can look at what is going on, or end it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::observe::wait_for;

const PATIENCE: Duration = Duration::from_mins(1);

/// A door to a registry where some requests get stuck; it lasts as long as the process.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    registry: String,
    /// How the requests begin that get stuck.
    head: String,
    /// So many of them get through before.
    free: usize,
    /// Bytes of each other one that get through.
    most: usize,
    seen: AtomicUsize,
    stuck: AtomicUsize,
    /// Nothing gets through at all.
    shut: AtomicBool,
}

impl Door {
    /// A door to a registry at `host:port`. Requests that begin with `head`, such as `PUT `, get stuck after `free` of
    /// them: only `most` bytes of each get through, and no answer comes.
    pub fn before(registry: &str, head: &str, free: usize, most: usize) -> Door {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (registry, head, shut) = (registry.to_owned(), head.to_owned(), AtomicBool::new(false));
        let (seen, stuck) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let state = Arc::new(State { registry, head, free, most, seen, stuck, shut });
        let theirs = state.clone();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            while let Ok((client, _)) = listener.accept() {
                let state = theirs.clone();
                if state.shut.load(Ordering::SeqCst) {
                    held.push(client);
                    continue;
                }
                let Ok(server) = TcpStream::connect(&state.registry) else { continue };
                let (Ok(mut back), Ok(mut to_client)) = (server.try_clone(), client.try_clone()) else {
                    continue;
                };
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut back, &mut to_client);
                    let _ = to_client.shutdown(Shutdown::Both);
                });
                std::thread::spawn(move || state.pass(client, server));
            }
        });
        Door { address, state }
    }

    /// The name of an image behind it.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// From now on nothing gets through.
    pub fn shut(&self) {
        self.state.shut.store(true, Ordering::SeqCst);
    }

    /// Waits until so many requests of a process are stuck.
    pub fn wait_for(&self, process: &mut Child, requests: usize) {
        let stuck = || self.state.stuck.load(Ordering::SeqCst);
        let mut ended = || !matches!(process.try_wait(), Ok(None));
        wait_for(PATIENCE, || stuck() >= requests || ended());
        if stuck() != requests {
            let mut told = String::new();
            if let (true, Some(mut stderr)) = (ended(), process.stderr.take()) {
                let _ = stderr.read_to_string(&mut told);
            }
            panic!("{} requests are stuck, not {requests}; {told}", stuck());
        }
    }
}

impl State {
    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let (mut buffer, mut left) = ([0; 16 << 10], None);
        while let Ok(n) = from.read(&mut buffer) {
            // A request begins when the one before is answered.
            let begins = left.is_none() && buffer[..n].starts_with(self.head.as_bytes());
            if begins && self.seen.fetch_add(1, Ordering::SeqCst) >= self.free {
                left = Some(self.most);
            }
            if self.shut.load(Ordering::SeqCst) {
                left = Some(0);
            }
            let most = left.map_or(n, |left| left.min(n));
            if n == 0 || to.write_all(&buffer[..most]).is_err() {
                break;
            }
            if let Some(left) = &mut left {
                let had = *left;
                *left -= most;
                if begins && self.most == 0 || had > 0 && *left == 0 {
                    self.stuck.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}
