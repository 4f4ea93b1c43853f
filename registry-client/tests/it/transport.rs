//! TLS, addresses and connections.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cooper_registry_client::{Client, Credential, ErrorKind, HostFiles, Hosts, PushOptions, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

use crate::common::fake::{Fake, Reply};
use crate::common::tls::{Authority, Door};
use crate::common::{builder, layer, noise, reference};

fn certs(dir: &Path) -> Hosts {
    Hosts::new(HostFiles { certs: vec![dir.to_owned()], ..HostFiles::default() })
}

/// A client that knows the authority.
fn knowing(authority: &Authority) -> Client {
    let pem = std::fs::read(authority.pem()).unwrap();
    builder().root_certificates_pem(&pem).unwrap().build()
}

#[tokio::test]
async fn r100_loopback_speaks_tls_where_it_can_and_never_gives_up_a_bad_certificate() {
    let Some(authority) = Authority::new() else { return };
    let plain = Fake::start(|_, _| None).await;
    builder().build().ping(&plain.address.to_string()).await.unwrap();
    let certificate = authority.issue("good", "IP:127.0.0.1", 2);
    let behind = Fake::start(|_, _| None).await;
    let door = Door::open("127.0.0.1:0", behind.address, &certificate, None).await;
    let host = door.address.to_string();
    knowing(&authority).ping(&host).await.unwrap();
    assert_eq!(behind.log().len(), 1);
    // A certificate that is not known is an error, though plain HTTP would be allowed here.
    let error = builder().build().ping(&host).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(behind.log().len(), 1);
}

#[tokio::test]
async fn r100_other_hosts_get_no_plain_http() {
    // Nothing listens there; what is tried is what the error is about.
    for name in ["reg.localhost:1", "printer.local:1", "127.0.0.1.nip.test:1"] {
        let error = builder().build().ping(name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network, "{name}");
    }
    let plain = Fake::start(|_, _| None).await;
    // The same server under a name that is not a loopback address is spoken to in TLS only.
    let host = format!("0.0.0.0:{}", plain.address.port());
    assert!(builder().build().ping(&host).await.is_err());
    assert!(plain.log().is_empty());
    builder().insecure(host.clone()).build().ping(&host).await.unwrap();
}

#[tokio::test]
async fn r101_certificates_of_a_host_are_read_from_its_directory() {
    let Some(authority) = Authority::new() else { return };
    let behind = Fake::start(|_, _| None).await;
    let server = authority.issue("server", "IP:127.0.0.1", 2);
    let (certificate, key) = authority.issue("client", "DNS:client", 2);
    let door = Door::open("127.0.0.1:0", behind.address, &server, Some(&authority)).await;
    let host = door.address.to_string();
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join(&host);
    std::fs::create_dir(&own).unwrap();
    std::fs::copy(authority.pem(), own.join("ca.crt")).unwrap();
    let error = builder().hosts(certs(dir.path())).build().ping(&host).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "the server wants a certificate of ours");
    std::fs::copy(&certificate, own.join("client.cert")).unwrap();
    std::fs::copy(&key, own.join("client.key")).unwrap();
    builder().hosts(certs(dir.path())).build().ping(&host).await.unwrap();
    // A file may hold several authorities.
    if let Some(other) = Authority::named("other") {
        let both = [std::fs::read(other.pem()).unwrap(), std::fs::read(authority.pem()).unwrap()].concat();
        std::fs::write(own.join("ca.crt"), both).unwrap();
        builder().hosts(certs(dir.path())).build().ping(&host).await.unwrap();
    }
    // Another host gets neither the authority nor the certificate.
    let other = Door::open("127.0.0.1:0", behind.address, &server, Some(&authority)).await;
    assert!(builder().hosts(certs(dir.path())).build().ping(&other.address.to_string()).await.is_err());
    // Nor the certificate where the authority is known to all, not even if the first host leads there.
    let known = || {
        let pem = std::fs::read(authority.pem()).unwrap();
        builder().hosts(certs(dir.path())).root_certificates_pem(&pem).unwrap().build()
    };
    assert!(known().ping(&other.address.to_string()).await.is_err());
    let there = other.address;
    let leading = Fake::start(move |r, _| {
        Some(Reply::new(307).header("location", format!("https://{there}{}", r.path)))
    })
    .await;
    let first = Door::open("127.0.0.1:0", leading.address, &server, Some(&authority)).await;
    let settings = dir.path().join(first.address.to_string());
    std::fs::create_dir(&settings).unwrap();
    for file in ["ca.crt", "client.cert", "client.key"] {
        std::fs::copy(own.join(file), settings.join(file)).unwrap();
    }
    let error = known().resolve(&reference(first.address, "x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    assert!(!leading.requests("GET", "").is_empty());
    let free = Door::open("127.0.0.1:0", behind.address, &server, None).await;
    known().ping(&free.address.to_string()).await.unwrap();
    // A key that is no key is an error that names the file, as is one that cannot be read.
    std::fs::write(
        own.join("client.key"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();
    let error = builder().hosts(certs(dir.path())).build().ping(&host).await.unwrap_err();
    assert!(error.to_string().contains("client.key"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Config);
    std::fs::remove_file(own.join("client.key")).unwrap();
    let error = builder().hosts(certs(dir.path())).build().ping(&host).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(behind.log().len(), 3);
}

#[tokio::test]
async fn r104_ipv6_literals() {
    let Ok(probe) = TcpListener::bind("[::1]:0").await else {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: no IPv6 loopback\n");
        return;
    };
    drop(probe);
    let Some(authority) = Authority::new() else { return };
    let behind = Fake::start(|_, _| None).await;
    let door = Door::open("[::1]:0", behind.address, &authority.issue("six", "IP:::1", 2), None).await;
    let host = door.address.to_string();
    let digest = cooper_oci::Digest::sha256_of(b"x");
    let name: cooper_oci::Reference = format!("{host}/x:tag@{digest}").parse().unwrap();
    assert_eq!(name.registry, host);
    knowing(&authority).ping(&host).await.unwrap();
    assert_eq!(behind.log()[0].header("host"), Some(host.as_str()));
    assert!(builder().build().ping("[fe80::1%25lo]:5000").await.is_err());
    assert!("[fe80::1%lo]:5000/x".parse::<cooper_oci::Reference>().is_err());
}

#[tokio::test]
async fn r105_a_dead_address_is_passed_over() {
    // `localhost` may be ::1 and 127.0.0.1; only the second listens.
    let fake = Fake::start(|_, _| None).await;
    let host = format!("localhost:{}", fake.address.port());
    builder().build().ping(&host).await.unwrap();
    assert_eq!(fake.log().len(), 1);
}

#[tokio::test]
async fn r107_a_connection_closed_while_idle_is_replaced() {
    let connections = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let count = connections.clone();
    // Each connection serves one request, says that it stays open, and closes.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            if head.starts_with(b"GET") {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    });
    let client = builder().build();
    for _ in 0..20 {
        client.ping(&host).await.unwrap();
    }
    assert!(connections.load(Ordering::SeqCst) >= 20);
}

#[tokio::test]
async fn r108_redirects_and_token_services_do_not_lead_inwards() {
    // From loopback, where everything may be local, only the rules for other origins can be seen: no credential.
    let blob = noise(100);
    let inner = Fake::start(|_, _| None).await;
    inner.content().add(&blob);
    let there = inner.address;
    let fake = Fake::start(move |r, _| {
        if r.header("authorization").is_none() {
            return Some(Reply::new(401).header("www-authenticate", "Basic realm=x"));
        }
        r.path
            .contains("/blobs/")
            .then(|| Reply::new(307).header("location", format!("http://{there}{}", r.path)))
    })
    .await;
    let host = fake.address.to_string();
    let basic = Credential::Basic { username: "ann".into(), password: Secret::new("pw") };
    let client = builder().credential(&host, basic).build();
    client.pull_bytes(&reference(&host, "x:1"), &layer(&blob)).await.unwrap();
    assert!(inner.log().iter().all(|r| r.header("authorization").is_none()));
}

#[tokio::test]
async fn r109_ports_and_socket_files() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("registry.sock");
    let fake = Fake::start(|_, _| None).await;
    let to = fake.address;
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut there = tokio::net::TcpStream::connect(to).await.ok()?;
                tokio::io::copy_bidirectional(&mut stream, &mut there).await.ok()
            });
        }
    });
    let blob = noise(100_000);
    let basic = Credential::Basic { username: "ann".into(), password: Secret::new("pw") };
    let client = builder().unix_socket("local.test", &socket).credential("local.test", basic).build();
    let name = reference("local.test", "x:1");
    client
        .push_blob(&name, &layer(&blob), &Bytes::from(blob.clone()), &PushOptions::default())
        .await
        .unwrap();
    assert!(client.pull_bytes(&name, &layer(&blob)).await.unwrap() == blob);
    assert_eq!(fake.log()[0].header("host"), Some("local.test"));
}

#[tokio::test]
async fn r110_who_we_are_and_nothing_more() {
    let fake =
        Fake::start(|r, c| Some(crate::common::fake::usual(c, r).header("set-cookie", "session=1; Path=/")))
            .await;
    let client = builder().user_agent("tester/1").build();
    for _ in 0..3 {
        client.ping(&fake.address.to_string()).await.unwrap();
    }
    for request in fake.log() {
        assert_eq!(request.header("user-agent"), Some("tester/1"));
        assert!(request.header("cookie").is_none() && request.header("referer").is_none());
    }
    let plain = Client::builder().build();
    plain.ping(&fake.address.to_string()).await.unwrap();
    let agent = fake.log().last().unwrap().header("user-agent").unwrap().to_owned();
    assert!(agent.starts_with("cooper/"), "{agent}");
}
