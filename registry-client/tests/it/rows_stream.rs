//! what needs a server that writes its bytes by hand, or requests side by side.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cooper_oci::Descriptor;
use cooper_registry_client::{
    BlobSink, Client, ErrorKind, Limits, PushOptions, Pushed, RegistrySource, Sleeper,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};

use crate::common::fake::{Fake, Reply, manifest as served, usual};
use crate::common::{builder, layer, manifest, noise, reference};

/// One request of a connection, its number among all, and the connection to answer on.
type Answerer =
    fn(Vec<String>, usize, BufReader<TcpStream>) -> Pin<Box<dyn Future<Output = Option<()>> + Send>>;

/// A server of one request a connection, which is given the lines of its head. Greetings are closed.
async fn by_hand(answer: Answerer) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut lines = Vec::new();
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.ok()?;
                    if line.trim().is_empty() {
                        break;
                    }
                    lines.push(line.trim().to_owned());
                }
                let n = count.fetch_add(1, Ordering::SeqCst) + 1;
                answer(lines, n, stream).await
            });
        }
    });
    (address, requests)
}

#[tokio::test]
async fn r034_what_has_no_end_is_left_at_its_size() {
    // A body without a length, and one in chunks: both go on for ever.
    let endless: [Answerer; 2] = [
        |_, _, mut stream| {
            Box::pin(async move {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(&[b'x'; 4096]).await.ok()?;
                }
            })
        },
        |_, _, mut stream| {
            Box::pin(async move {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(b"400\r\n").await.ok()?;
                    stream.write_all(&[b'x'; 1024]).await.ok()?;
                    stream.write_all(b"\r\n").await.ok()?;
                }
            })
        },
    ];
    for answer in endless {
        let (address, _) = by_hand(answer).await;
        let (client, name) = (builder().insecure(address.to_string()).build(), reference(address, "x:1"));
        let blob = vec![b'x'; 1_000_000];
        let mut out = Vec::new();
        let error = client.pull_blob(&name, &layer(&blob), &mut out).await.unwrap_err();
        assert!(error.to_string().contains("bytes, not 1000000"), "{error}");
        assert!(out.len() <= blob.len());
        assert_eq!(client.resolve(&name).await.unwrap_err().kind(), ErrorKind::TooLarge);
    }
}

#[tokio::test]
async fn r034_a_chunked_body_counts_by_its_bytes() {
    // Right at the second try; the first ends in order, but too soon.
    let (address, requests) = by_hand(|_, n, mut stream| {
        Box::pin(async move {
            let blob = noise(10_000);
            let bytes = if n == 1 { &blob[..9_999] } else { &blob[..] };
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.ok()?;
            for part in bytes.chunks(1000) {
                stream.write_all(format!("{:x};ext=1\r\n", part.len()).as_bytes()).await.ok()?;
                stream.write_all(part).await.ok()?;
                stream.write_all(b"\r\n").await.ok()?;
            }
            stream.write_all(b"0\r\n\r\n").await.ok()
        })
    })
    .await;
    let (client, name) = (builder().insecure(address.to_string()).build(), reference(address, "x:1"));
    let blob = noise(10_000);
    assert!(client.pull_bytes(&name, &layer(&blob)).await.unwrap() == blob);
    assert_eq!(requests.load(Ordering::SeqCst), 2);
    // One byte less or more than the descriptor says, each time.
    for size in [9_999, 10_001] {
        let wrong = Descriptor { size, ..layer(&blob) };
        let mut sink = Watched::default();
        client.pull_blob(&name, &wrong, &mut sink).await.unwrap_err();
        assert!(sink.bytes as u64 <= size && !sink.finished, "{size}: {}", sink.bytes);
    }
}

/// Counts the bytes that it is given, and notes whether they were said to be right.
#[derive(Default)]
struct Watched {
    bytes: usize,
    finished: bool,
}

impl BlobSink for Watched {
    async fn write(&mut self, chunk: Bytes) -> std::io::Result<()> {
        self.bytes += chunk.len();
        Ok(())
    }

    async fn finish(&mut self) -> std::io::Result<()> {
        self.finished = true;
        Ok(())
    }
}

#[tokio::test]
async fn r036_each_blob_begins_at_the_registry() {
    let store = Fake::start(|_, _| None).await;
    let there = store.address;
    let fake = Fake::start(move |r, _| {
        Some(Reply::new(308).header("location", format!("http://{there}{}", r.path)))
    })
    .await;
    let client = builder().build();
    let name = reference(fake.address, "x:1");
    for n in 0..3 {
        let blob = noise(100 + n);
        store.content().add(&blob);
        // Twice the same one, too.
        for _ in 0..2 {
            assert!(client.pull_bytes(&name, &layer(&blob)).await.unwrap() == blob);
        }
    }
    assert_eq!(fake.requests("GET", "/blobs/").len(), 6, "where one was is no address for another");
}

/// What should come soon, or the test fails.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), work).await.unwrap()
}

/// Sleeps until it is let go on.
#[derive(Default)]
struct Gate {
    asleep: Notify,
    pauses: std::sync::Mutex<Vec<Duration>>,
    open: Arc<std::sync::OnceLock<()>>,
    wake: Arc<Notify>,
}

impl Sleeper for Gate {
    fn sleep(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.pauses.lock().unwrap().push(pause);
        self.asleep.notify_one();
        let (open, wake) = (self.open.clone(), self.wake.clone());
        Box::pin(async move {
            let woken = wake.notified();
            if open.get().is_none() {
                woken.await;
            }
        })
    }
}

#[tokio::test]
async fn r042_while_one_request_waits_all_of_its_registry_do() {
    let sample = || manifest(&layer(b"config"), &layer(b"layer"));
    let limited = Fake::start(|r, c| {
        let first = c.nth(r) == 1 && r.path.ends_with("/1");
        first.then(|| Reply::new(429).header("retry-after", "60"))
    })
    .await;
    let other = Fake::start(|_, _| None).await;
    for fake in [&limited, &other] {
        for tag in ["1", "2"] {
            fake.content().manifests.insert(tag.into(), served(&sample()));
        }
    }
    let gate = Arc::new(Gate::default());
    let client = Client::builder().sleeper(gate.clone()).build();
    let resolve = |name| {
        let client = client.clone();
        tokio::spawn(async move { client.resolve(&name).await.map(drop) })
    };
    let first = resolve(reference(limited.address, "x:1"));
    soon(gate.asleep.notified()).await;
    let second = resolve(reference(limited.address, "x:2"));
    soon(gate.asleep.notified()).await;
    // Another registry did not ask for anything.
    client.resolve(&reference(other.address, "x:1")).await.unwrap();
    assert_eq!(limited.requests("GET", "/manifests/").len(), 1, "the second was not sent");
    assert!(gate.pauses.lock().unwrap().iter().all(|p| *p > Duration::from_secs(50)));
    gate.open.set(()).unwrap();
    gate.wake.notify_waiters();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(limited.requests("GET", "/manifests/").len(), 3);
}

#[tokio::test]
async fn r042_a_date_is_a_pause_too() {
    let fake = Fake::start(|r, c| {
        (c.nth(r) == 1).then(|| {
            Reply::new(429)
                .header("date", "Sun, 06 Nov 1994 08:49:30 GMT")
                .header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")
        })
    })
    .await;
    fake.content().manifests.insert("1".into(), served(&manifest(&layer(b"c"), &layer(b"l"))));
    let notes = Arc::new(crate::common::NoSleep::default());
    let client = Client::builder().sleeper(notes.clone()).build();
    client.resolve(&reference(fake.address, "x:1")).await.unwrap();
    assert_eq!(notes.0.lock().unwrap()[0], Duration::from_secs(7));
}

#[tokio::test]
async fn r043_answers_that_break_off_in_their_head_are_asked_for_again() {
    // Nothing at all, half a head, a head without its body, and a reset; then the truth.
    let (address, requests) = by_hand(|_, n, mut stream| {
        Box::pin(async move {
            let blob = noise(1000);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", blob.len());
            match n {
                1 => return None,
                2 => return stream.write_all(&head.as_bytes()[..20]).await.ok(),
                3 => return stream.write_all(head.as_bytes()).await.ok(),
                4 => return stream.into_inner().set_zero_linger().ok(),
                _ => {}
            }
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&blob).await.ok()
        })
    })
    .await;
    let (client, name) = (builder().insecure(address.to_string()).build(), reference(address, "x:1"));
    assert!(client.pull_bytes(&name, &layer(&noise(1000))).await.unwrap() == noise(1000));
    assert_eq!(requests.load(Ordering::SeqCst), 5);
}

/// A server of a large blob, of which its first answer brings a byte now and then, and of a small one; how often the
/// large one was asked for.
async fn dripping(blob: &[u8], quick: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
    let dripping = Arc::new(AtomicUsize::new(0));
    let count = dripping.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (slow, bytes) = (layer(blob).digest.to_string(), blob.to_vec());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (count, bytes, slow, quick) = (count.clone(), bytes.clone(), slow.clone(), quick.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.ok()?);
                }
                let head = String::from_utf8(head).ok()?.to_ascii_lowercase();
                let body = if head.contains(&slow) { &bytes } else { &quick };
                let from: usize = head
                    .split("range: bytes=")
                    .nth(1)
                    .and_then(|r| r.split('-').next()?.parse().ok())
                    .unwrap_or_default();
                let (status, end) = (if from > 0 { "206 P" } else { "200 OK" }, body.len() - 1);
                let range = format!("content-range: bytes {from}-{end}/{}\r\n", body.len());
                let left = body.len() - from;
                let head = format!(
                    "HTTP/1.1 {status}\r\n{range}content-length: {left}\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.ok()?;
                if body.len() < 100_000 || count.fetch_add(1, Ordering::SeqCst) > 0 {
                    return stream.write_all(&body[from..]).await.ok();
                }
                // A byte now and then, so that there is always movement.
                for byte in &body[from..] {
                    stream.write_all(&[*byte]).await.ok()?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Some(())
            });
        }
    });
    (address, dripping)
}

#[tokio::test]
async fn r044_a_drip_is_left_and_others_go_on() {
    let blob = noise(100_000);
    let (address, dripping) = dripping(&blob, noise(5000)).await;
    let limits =
        Limits { idle_timeout: Duration::from_millis(200), slowest_bytes: 10_000, ..Limits::default() };
    let client = builder().limits(limits).insecure(address.to_string()).build();
    let name = reference(address, "x:1");
    let (descriptor, other) = (layer(&blob), layer(&noise(5000)));
    let both =
        async { tokio::join!(client.pull_bytes(&name, &descriptor), client.pull_bytes(&name, &other)) };
    let (one, two) = Box::pin(soon(both)).await;
    assert!(one.unwrap() == blob && two.unwrap() == noise(5000));
    // A busy machine may stop the next try for so long, too.
    assert!(dripping.load(Ordering::SeqCst) >= 2, "left, and gone on with");
}

#[tokio::test]
async fn r044_a_copy_of_what_drips_goes_on_as_well() {
    let blob = noise(100_000);
    let (address, dripping) = dripping(&blob, Vec::new()).await;
    let to = Fake::start(|_, _| None).await;
    let limits =
        Limits { idle_timeout: Duration::from_millis(200), slowest_bytes: 10_000, ..Limits::default() };
    let client = builder().limits(limits).insecure(address.to_string()).build();
    let source = RegistrySource::new(client.clone(), reference(address, "x:1"), layer(&blob));
    let (name, descriptor, options) = (reference(to.address, "y:1"), layer(&blob), PushOptions::default());
    Box::pin(soon(client.push_blob(&name, &descriptor, &source, &options))).await.unwrap();
    assert!(to.content().blobs[descriptor.digest.as_str()] == blob);
    assert!(dripping.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn r035_a_copy_goes_on_where_ranges_are_a_mess() {
    let blob = noise(200_000);
    for kind in ["ignored", "wrong", "refused"] {
        let from = Fake::start(move |r, c| {
            let bytes = c.blobs.values().next()?.clone();
            Some(match (c.nth(r), kind, r.header("range")) {
                (1, ..) => Reply::new(200).body(bytes).cut(90_000),
                (_, "wrong", Some(_)) => Reply::new(206)
                    .header("content-range", "bytes 150000-199999/200000")
                    .body(vec![0; 50_000]),
                (_, "refused", Some(_)) => Reply::new(416),
                _ => Reply::new(200).body(bytes),
            })
        })
        .await;
        from.content().add(&blob);
        let to = Fake::start(|_, _| None).await;
        let client = builder().build();
        let source = RegistrySource::new(client.clone(), reference(from.address, "x:1"), layer(&blob));
        let (name, descriptor, options) =
            (reference(to.address, "y:1"), layer(&blob), PushOptions::default());
        Box::pin(client.push_blob(&name, &descriptor, &source, &options)).await.unwrap();
        assert!(to.content().blobs[descriptor.digest.as_str()] == blob, "{kind}");
        assert_eq!(to.requests("POST", "").len(), 1, "{kind}: the upload did not notice");
        assert_eq!(from.log().len(), if kind == "ignored" { 2 } else { 3 }, "{kind}");
    }
}

#[tokio::test]
async fn r107_a_push_goes_through_though_each_connection_closes_after_one_request() {
    let stock = Arc::new(Fake::start(|r, c| Some(usual(c, r).header("x-by", "fake"))).await);
    let to = stock.address;
    // It says nothing of closing, and closes when the next request is on its way.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let ends = Arc::new(Semaphore::new(0));
    let counted = ends.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.ok()?);
                }
                let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
                let length: usize = text
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.split('\r').next()?.parse().ok())
                    .unwrap_or_default();
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.ok()?;
                let mut there = TcpStream::connect(to).await.ok()?;
                there.write_all(&head).await.ok()?;
                there.write_all(&body).await.ok()?;
                let mut there = BufReader::new(there);
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    there.read_line(&mut line).await.ok()?;
                    if let Some(value) = line.strip_prefix("content-length: ") {
                        length = value.trim().parse().ok()?;
                    }
                    stream.write_all(line.as_bytes()).await.ok()?;
                    if line == "\r\n" {
                        break;
                    }
                }
                if !text.starts_with("head") {
                    let mut body = vec![0; length];
                    there.read_exact(&mut body).await.ok()?;
                    stream.write_all(&body).await.ok()?;
                }
                // Closed unread, when something comes or at once.
                counted.add_permits(1);
                Some(())
            });
        }
    });
    let client = builder().insecure(host.clone()).build();
    for n in 0..10 {
        let blob = noise(1000 + n);
        let source = Bytes::from(blob.clone());
        let name = reference(&host, "x:1");
        let pushed = client.push_blob(&name, &layer(&blob), &source, &PushOptions::default()).await.unwrap();
        assert_eq!(pushed, Pushed::Uploaded);
        assert!(stock.content().blobs[layer(&blob).digest.as_str()] == blob);
    }
    assert!(ends.available_permits() >= 30);
}

#[tokio::test]
async fn r078_what_was_refused_is_not_sent_on() {
    // The first body is refused before it was read, but taken in for as long as it comes.
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.ok()?);
                }
                let answer = match head.first()? {
                    b'H' => "HTTP/1.1 404 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                    b'P' if head.starts_with(b"POST") => {
                        "HTTP/1.1 202 X\r\nconnection: close\r\nlocation: /up\r\ncontent-length: 0\r\n\r\n"
                    }
                    b'P' => "HTTP/1.1 403 X\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno",
                    _ => "HTTP/1.1 204 X\r\nconnection: close\r\n\r\n",
                };
                stream.write_all(answer.as_bytes()).await.ok()?;
                stream.shutdown().await.ok()?;
                let mut buffer = [0; 4096];
                loop {
                    match stream.read(&mut buffer).await.ok()? {
                        0 => return Some(()),
                        n => count.fetch_add(n, Ordering::SeqCst),
                    };
                }
            });
        }
    });
    let blob = noise(64 << 20);
    let source = Bytes::from(blob.clone());
    let client = builder().insecure(host.clone()).build();
    let name = reference(&host, "x:1");
    let source = cooper_registry_client::ReadSource(move |at: u64| {
        let mut cursor = std::io::Cursor::new(source.clone());
        cursor.set_position(at);
        Ok(cursor)
    });
    let error = client.push_blob(&name, &layer(&blob), &source, &PushOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let taken = taken.load(Ordering::SeqCst);
    assert!(taken < blob.len() / 2, "{taken} bytes were sent for nothing");
}
