//! HTTP/2: R-106.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cooper_oci::{Digest, media};
use h2::Reason;
use tokio::net::TcpListener;

use crate::common::fake::Fake;
use crate::common::tls::{Authority, Door, acceptor};
use crate::common::{builder, layer, manifest, reference};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The connection takes no more requests after its first.
    GoAway,
    /// Every second stream is reset.
    Reset,
}

/// A registry of one manifest that speaks HTTP/2 only: one stream at a time, windows of 64 KiB.
async fn serve(authority: &Authority, trouble: Trouble, body: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
    let (certificate, key) = authority.issue("two", "IP:127.0.0.1", 2);
    let acceptor = acceptor((&certificate, &key), None, &[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count, body) = (acceptor.clone(), count.clone(), Bytes::from(body.clone()));
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.ok()?;
                let mut builder = h2::server::Builder::new();
                builder.max_concurrent_streams(1).initial_window_size(65_535);
                let mut connection = builder.handshake::<_, Bytes>(stream).await.ok()?;
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    assert_eq!(request.version(), http_version());
                    let n = count.fetch_add(1, Ordering::SeqCst);
                    if trouble == Trouble::Reset && n.is_multiple_of(2) {
                        respond.send_reset(Reason::INTERNAL_ERROR);
                        continue;
                    }
                    let response = response(&body);
                    let mut send = respond.send_response(response, false).ok()?;
                    send.send_data(body.clone(), true).ok()?;
                    if trouble == Trouble::GoAway {
                        connection.graceful_shutdown();
                    }
                }
                Some(())
            });
        }
    });
    (address, requests)
}

fn http_version() -> http::Version {
    http::Version::HTTP_2
}

fn response(body: &Bytes) -> http::Response<()> {
    http::Response::builder()
        .header("content-type", media::OCI_MANIFEST)
        .header("docker-content-digest", Digest::sha256_of(body).to_string())
        .body(())
        .unwrap()
}

#[tokio::test]
async fn r106_goaway_resets_and_narrow_connections() {
    let Some(authority) = Authority::new() else { return };
    let pem = std::fs::read(authority.pem()).unwrap();
    // More than one window.
    let mut bytes = manifest(&layer(b"c"), &layer(b"l"));
    bytes.extend(vec![b' '; 200_000]);
    for trouble in [Trouble::None, Trouble::GoAway, Trouble::Reset] {
        let (address, requests) = serve(&authority, trouble, bytes.clone()).await;
        let client = builder().root_certificates_pem(&pem).unwrap().build();
        let resolves = (0..6).map(|n| {
            let (client, name) = (client.clone(), reference(address, &format!("x:{n}")));
            async move { client.resolve(&name).await.unwrap().bytes }
        });
        for got in futures_util::future::join_all(resolves).await {
            assert!(got == bytes, "{trouble:?}");
        }
        let asked = requests.load(Ordering::SeqCst);
        assert!(if trouble == Trouble::Reset { asked > 6 } else { asked == 6 }, "{trouble:?}: {asked}");
    }
}

#[tokio::test]
async fn r106_a_server_without_http2_is_spoken_to_in_http1() {
    let Some(authority) = Authority::new() else { return };
    let fake = Fake::start(|_, _| None).await;
    let door =
        Door::open("127.0.0.1:0", fake.address, &authority.issue("one", "IP:127.0.0.1", 2), None).await;
    let pem = std::fs::read(authority.pem()).unwrap();
    let client = builder().root_certificates_pem(&pem).unwrap().build();
    client.ping(&door.address.to_string()).await.unwrap();
}
