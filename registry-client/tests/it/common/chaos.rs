//! A proxy before a registry that breaks what it can: resets, truncated answers, silence, 5xx, 429, and tokens
//! that soon expire. What it does to the n-th request depends on its seed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How often each fault comes, of a thousand requests.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    pub resets: u64,
    pub truncations: u64,
    pub errors: u64,
    pub too_many: u64,
    pub stalls: u64,
}

/// Until when a token is good.
#[derive(Debug, Clone, Copy)]
pub enum Life {
    Uses(usize),
    Time(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// After so many 65536ths of the body, that of the request if it has one.
    Reset(u64),
    Truncate(u64),
    Status(u16),
    Stall,
}

struct Shared {
    to: String,
    here: SocketAddr,
    seed: u64,
    rates: Rates,
    life: Life,
    requests: AtomicU64,
    faults: AtomicUsize,
    tokens: Mutex<HashMap<u64, (usize, Instant)>>,
    /// Bytes of bodies passed to the client.
    answered: AtomicU64,
}

pub struct Chaos {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A number that looks random.
pub fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Chaos {
    pub async fn before(registry: &str, seed: u64, rates: Rates, life: Life) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to: registry.to_owned(),
            here: address,
            seed,
            rates,
            life,
            requests: AtomicU64::new(0),
            faults: AtomicUsize::new(0),
            tokens: Mutex::default(),
            answered: AtomicU64::new(0),
        });
        let theirs = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = theirs.clone();
                tokio::spawn(async move { shared.serve(stream).await });
            }
        });
        Self { address, shared, task }
    }

    /// Requests that were broken.
    pub fn faults(&self) -> usize {
        self.shared.faults.load(Ordering::Relaxed)
    }

    pub fn answered_bytes(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn fault(&self) -> Fault {
        let n = self.requests.fetch_add(1, Ordering::Relaxed);
        let random = mix(self.seed ^ mix(n));
        let (mut place, part) = (random % 1000, (random >> 32) % 65536);
        let rates = self.rates;
        let kinds = [
            (rates.resets, Fault::Reset(part)),
            (rates.truncations, Fault::Truncate(part)),
            (rates.errors, Fault::Status(if part % 2 == 0 { 503 } else { 500 })),
            (rates.too_many, Fault::Status(429)),
            (rates.stalls, Fault::Stall),
        ];
        for (rate, fault) in kinds {
            if place < rate {
                self.faults.fetch_add(1, Ordering::Relaxed);
                return fault;
            }
            place -= rate;
        }
        Fault::None
    }

    /// One request for each connection.
    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut client = BufReader::new(stream);
        let (mut head, mut length, mut token) = (String::new(), 0, None);
        loop {
            let mut line = String::new();
            if client.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if lower.starts_with("authorization:") {
                token = line.rsplit(' ').next().and_then(|t| t.trim().parse().ok());
                continue;
            }
            if line.trim().is_empty() {
                break;
            }
            head += &line;
        }
        if head.starts_with("GET /token") {
            let id = mix(self.requests.fetch_add(1, Ordering::Relaxed));
            self.tokens.lock().unwrap().insert(id, (0, Instant::now()));
            return answer(&mut client, 200, "", &format!(r#"{{"token":"{id}","expires_in":3600}}"#)).await;
        }
        if !self.admits(token) {
            let ask = format!(
                "www-authenticate: Bearer realm=\"http://{}/token\",service=\"chaos\"\r\n",
                self.here
            );
            return answer(&mut client, 401, &ask, "").await;
        }
        match self.fault() {
            Fault::None => self.pass(client, &head, length, None, false).await,
            Fault::Reset(part) => self.pass(client, &head, length, Some(part), true).await,
            Fault::Truncate(part) => self.pass(client, &head, length, Some(part), false).await,
            Fault::Status(429) => answer(&mut client, 429, "retry-after: 1\r\n", "").await,
            Fault::Status(status) => answer(&mut client, status, "", "upset").await,
            Fault::Stall => {
                // Until the client loses patience.
                let mut rest = Vec::new();
                drop(client.read_to_end(&mut rest).await);
                None
            }
        }
    }

    fn admits(&self, token: Option<u64>) -> bool {
        let mut tokens = self.tokens.lock().unwrap();
        let Some((uses, since)) = token.and_then(|id| tokens.get_mut(&id)) else { return false };
        *uses += 1;
        match self.life {
            Life::Uses(most) => *uses <= most,
            Life::Time(time) => since.elapsed() <= time,
        }
    }

    /// Passes a request on, and its answer back, or only a part of the first body among them.
    async fn pass(
        &self,
        mut client: BufReader<TcpStream>,
        head: &str,
        length: u64,
        part: Option<u64>,
        reset: bool,
    ) -> Option<()> {
        let share =
            |bytes: u64| part.map_or(u64::MAX, |part| bytes / 65536 * part + bytes % 65536 * part / 65536);
        let mut budget = if length > 0 { share(length) } else { u64::MAX };
        let mut registry = TcpStream::connect(&self.to).await.ok()?;
        registry.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await.ok()?;
        let mut buffer = vec![0; 64 << 10];
        let mut left = length;
        while left > 0 {
            let most = usize::try_from(left.min(budget).min(buffer.len() as u64)).unwrap();
            if most == 0 {
                return end(client.into_inner(), reset);
            }
            let n = client.read(&mut buffer[..most]).await.ok().filter(|n| *n > 0)?;
            registry.write_all(&buffer[..n]).await.ok()?;
            (left, budget) = (left - n as u64, budget - n as u64);
        }
        let mut answer = BufReader::new(registry);
        loop {
            let mut line = Vec::new();
            answer.read_until(b'\n', &mut line).await.ok().filter(|n| *n > 0)?;
            client.write_all(&line).await.ok()?;
            let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
            if length == 0
                && let Some(bytes) = text.strip_prefix("content-length:")
            {
                budget = share(bytes.trim().parse().ok()?);
            }
            if line == b"\r\n" {
                break;
            }
        }
        loop {
            let most = usize::try_from(budget.min(buffer.len() as u64)).unwrap();
            let n = answer.read(&mut buffer[..most]).await.ok()?;
            if n == 0 {
                return end(client.into_inner(), reset && budget == 0);
            }
            client.write_all(&buffer[..n]).await.ok()?;
            self.answered.fetch_add(n as u64, Ordering::Relaxed);
            budget -= n as u64;
        }
    }
}

/// Closes a connection, with or without an orderly end.
fn end(stream: TcpStream, reset: bool) -> Option<()> {
    if reset {
        // What is unread or unsent is thrown away.
        stream.set_zero_linger().ok()?;
    }
    Some(())
}

async fn answer(client: &mut BufReader<TcpStream>, status: u16, headers: &str, body: &str) -> Option<()> {
    let text = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(text.as_bytes()).await.ok()?;
    client.shutdown().await.ok()?;
    // The rest of the request is taken in, or the answer would be lost with it.
    let mut rest = [0; 4096];
    while client.read(&mut rest).await.ok()? > 0 {}
    Some(())
}
