//! A proxy before a registry that breaks what it can: resets, truncated bodies, silence, 5xx, 429, and tokens
//! that soon expire. What it does to the n-th request of a kind for a blob depends on its seed only.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
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

#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// After so many 65536ths of the body, that of the request if it has one.
    Break(u64, Ending),
    Status(u16),
}

/// How a connection breaks.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Reset,
    Close,
    Silence,
}

/// What may be under way in a connection besides what its sender's kernel holds.
const WINDOW_BYTES: u32 = 256 << 10;
/// What is still taken of a body that is answered already.
const LINGER_BYTES: u64 = 4 << 20;
/// How long a silent connection is held: longer than any client's patience.
const HELD: Duration = Duration::from_mins(2);

struct Shared {
    to: String,
    here: SocketAddr,
    seed: u64,
    rates: Rates,
    life: Life,
    /// How many requests came, of each kind for each blob.
    requests: Mutex<HashMap<String, u64>>,
    given: AtomicU64,
    faults: AtomicUsize,
    /// Requests with a body that were refused for their token.
    refused: AtomicUsize,
    /// Bytes taken of bodies of requests that then broke.
    broken: AtomicU64,
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
    pub fn before(registry: &str, seed: u64, rates: Rates, life: Life) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(WINDOW_BYTES).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to: registry.to_owned(),
            here: address,
            seed,
            rates,
            life,
            requests: Mutex::default(),
            given: AtomicU64::new(0),
            faults: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            broken: AtomicU64::new(0),
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

    /// Requests with a body whose token was not good any more.
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// What a registry that keeps nothing of a broken body must be sent again.
    pub fn broken_bytes(&self) -> u64 {
        self.shared.broken.load(Ordering::Relaxed)
    }

    pub fn answered_bytes(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn fault(&self, head: &str) -> Fault {
        let method = head.split(' ').next().unwrap_or_default();
        let digest = head.lines().next().and_then(|line| line.split_once("sha256")).map(|(_, rest)| rest);
        let key = format!("{method} {}", digest.unwrap_or_default());
        let n = {
            let mut requests = self.requests.lock().unwrap();
            let n = requests.entry(key.clone()).or_default();
            *n += 1;
            *n
        };
        let random = key.bytes().fold(mix(self.seed ^ mix(n)), |hash, byte| mix(hash ^ u64::from(byte)));
        let (mut place, part) = (random % 1000, (random >> 32) % 65536);
        let rates = self.rates;
        let kinds = [
            (rates.resets, Fault::Break(part, Ending::Reset)),
            (rates.truncations, Fault::Break(part, Ending::Close)),
            (rates.errors, Fault::Status(if part % 2 == 0 { 503 } else { 500 })),
            (rates.too_many, Fault::Status(429)),
            (rates.stalls, Fault::Break(part, Ending::Silence)),
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
            let id = mix(self.given.fetch_add(1, Ordering::Relaxed));
            self.tokens.lock().unwrap().insert(id, (0, Instant::now()));
            return answer(&mut client, length, 200, "", &format!(r#"{{"token":"{id}","expires_in":3600}}"#))
                .await;
        }
        if !self.admits(token) {
            self.refused.fetch_add(usize::from(length > 0), Ordering::Relaxed);
            let ask = format!(
                "www-authenticate: Bearer realm=\"http://{}/token\",service=\"chaos\"\r\n",
                self.here
            );
            return answer(&mut client, length, 401, &ask, "").await;
        }
        match self.fault(&head) {
            Fault::None => self.pass(client, &head, length, None).await,
            Fault::Break(part, ending) => self.pass(client, &head, length, Some((part, ending))).await,
            Fault::Status(429) => answer(&mut client, length, 429, "retry-after: 1\r\n", "").await,
            Fault::Status(status) => answer(&mut client, length, status, "", "upset").await,
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
        fault: Option<(u64, Ending)>,
    ) -> Option<()> {
        let (part, ending) = fault.map_or((None, Ending::Close), |(part, ending)| (Some(part), ending));
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
                drop(registry);
                self.broken.fetch_add(length - left, Ordering::Relaxed);
                return ending.of(client).await;
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
                drop(answer);
                return if budget == 0 { ending.of(client).await } else { None };
            }
            client.write_all(&buffer[..n]).await.ok()?;
            self.answered.fetch_add(n as u64, Ordering::Relaxed);
            budget -= n as u64;
        }
    }
}

impl Ending {
    async fn of(self, client: BufReader<TcpStream>) -> Option<()> {
        match self {
            // What is unread or unsent is thrown away.
            Self::Reset => client.get_ref().set_zero_linger().ok()?,
            Self::Close => {}
            // Nothing is read either, until long after the client has lost patience.
            Self::Silence => tokio::time::sleep(HELD).await,
        }
        Some(())
    }
}

/// Answers at once, and takes a little of what comes after that: the answer would be lost with it otherwise.
async fn answer(
    client: &mut BufReader<TcpStream>,
    length: u64,
    status: u16,
    headers: &str,
    body: &str,
) -> Option<()> {
    // Servers that are asked to take a body seldom say that they will not.
    let close = if length == 0 { "connection: close\r\n" } else { "" };
    let text = format!("HTTP/1.1 {status} X\r\n{headers}{close}content-length: {}\r\n\r\n{body}", body.len());
    client.write_all(text.as_bytes()).await.ok()?;
    if length == 0 {
        client.shutdown().await.ok()?;
    }
    let mut rest = client.take(LINGER_BYTES.min(length));
    let _ = tokio::time::timeout(HELD, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    Some(())
}
