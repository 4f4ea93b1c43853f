//! Which addresses are connected to: R-100, R-105, R-108. The tests run in networks of their own, where names and
//! addresses are what the test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cooper_registry_client::{Error, ErrorKind, Limits, NetworkPolicy, PushOptions};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::common::fake::{Fake, Reply};
use crate::common::tls::{Authority, Door};
use crate::common::{builder, in_own_network, layer, noise, reference};

/// Takes connections, and notes the first byte of each.
async fn listen(at: &str) -> (SocketAddr, Arc<std::sync::Mutex<Vec<Option<u8>>>>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let theirs = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let first = stream.read_u8().await.ok();
            theirs.lock().unwrap().push(first);
        }
    });
    (address, seen)
}

#[test]
fn r100_only_loopback_itself_may_speak_plain_http_unasked() {
    let hosts = "127.0.0.1 localhost printer.local reg.localhost localhost.test\n";
    in_own_network("reach::plain_names_child", &[], hosts);
}

#[tokio::test]
#[ignore = "run by r100_only_loopback_itself_may_speak_plain_http_unasked"]
async fn plain_names_child() {
    let fake = Fake::start_at("0.0.0.0:0", |_, _| None, |_, _| None).await;
    let port = fake.address.port();
    for name in ["localhost", "127.0.0.1", "127.3.2.1"] {
        builder().build().ping(&format!("{name}:{port}")).await.unwrap();
    }
    assert_eq!(fake.requests("GET", "/v2/").len(), 3);
    let before = fake.log().len();
    let (address, seen) = listen("127.0.0.1:0").await;
    for name in ["printer.local", "reg.localhost", "localhost.test"] {
        // They lead to this machine, but their names are nobody's promise.
        let error = builder().build().ping(&format!("{name}:{port}")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network, "{name}");
        builder().build().ping(&format!("{name}:{}", address.port())).await.unwrap_err();
    }
    assert!(fake.log()[before..].iter().all(|r| r.method != "GET"), "{:?}", fake.log());
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(!seen.is_empty() && seen.iter().all(|first| *first == Some(0x16)), "TLS only: {seen:?}");
    for name in ["printer.local", "reg.localhost"] {
        let host = format!("{name}:{port}");
        builder().insecure(host.clone()).build().ping(&host).await.unwrap();
    }
}

#[tokio::test]
async fn r100_a_certificate_that_is_not_trusted_never_leads_to_plain_http() {
    let (Some(authority), Some(stranger)) = (Authority::new(), Authority::new()) else { return };
    let pem = std::fs::read(authority.pem()).unwrap();
    let bad = [
        stranger.issue("unknown", "IP:127.0.0.1", 2),
        authority.issue_for("expired", "IP:127.0.0.1", ("240131000000Z", "240229235959Z")),
        authority.issue("wrong", "DNS:other.test", 2),
    ];
    for certificate in &bad {
        let behind = Fake::start(|_, _| None).await;
        let door = Door::open("127.0.0.1:0", behind.address, certificate, None).await;
        // Before the door, what comes is looked at.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (here, to) = (listener.local_addr().unwrap(), door.address);
        let firsts = Arc::new(std::sync::Mutex::new(Vec::new()));
        let theirs = firsts.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut first = [0];
                let _ = stream.peek(&mut first).await;
                theirs.lock().unwrap().push(first[0]);
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(to).await.ok()?;
                    tokio::io::copy_bidirectional(&mut stream, &mut there).await.ok()
                });
            }
        });
        for host in [here.to_string(), format!("localhost:{}", here.port())] {
            let client = builder().root_certificates_pem(&pem).unwrap().build();
            let error = client.ping(&host).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Network);
        }
        assert!(behind.log().is_empty());
        let firsts = firsts.lock().unwrap();
        assert!(firsts.len() >= 2 && firsts.iter().all(|first| *first == 0x16), "{firsts:?}");
    }
    // Nobody there: an error, after both were tried.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = builder().build().ping(&nobody.to_string()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
}

#[test]
fn r105_the_second_address_answers_while_the_first_is_silent() {
    let hosts = "127.0.0.1 one.test\n127.0.0.9 one.test\n127.0.0.9 two.test\n127.0.0.1 two.test\n\
                 127.0.0.1 six.test\n::1 six.test\n";
    in_own_network("reach::silent_address_child", &[], hosts);
}

/// An address that never answers: the queue of its listener is full, and nobody takes anything out.
async fn silent(at: SocketAddr) -> (TcpListener, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(at).unwrap();
    let listener = socket.listen(0).unwrap();
    let filling = TcpStream::connect(at).await.unwrap();
    (listener, filling)
}

#[tokio::test]
#[ignore = "run by r105_the_second_address_answers_while_the_first_is_silent"]
async fn silent_address_child() {
    // Who waits for the first address waits for ever.
    let limits = Limits {
        connect_timeout: Duration::from_hours(9),
        answer_timeout: Duration::from_hours(9),
        ..Limits::default()
    };
    for (dead, alive) in [("127.0.0.1", "127.0.0.9"), ("127.0.0.9", "127.0.0.1"), ("127.0.0.1", "[::1]")] {
        let fake = Fake::start_at(&format!("{alive}:0"), |_, _| None, |_, _| None).await;
        let port = fake.address.port();
        let _silent = silent(format!("{dead}:{port}").parse().unwrap()).await;
        for name in if alive == "[::1]" { &["six.test"][..] } else { &["one.test", "two.test"] } {
            let host = format!("{name}:{port}");
            let client = builder().limits(limits.clone()).insecure(host.clone()).build();
            client.ping(&host).await.unwrap();
            assert_eq!(fake.log().last().unwrap().header("host"), Some(host.as_str()));
        }
    }
}

const HOME: &str = "11.22.33.44";
const INNER: [&str; 9] = [
    "127.0.0.1",
    "169.254.169.254",
    "10.9.8.7",
    "172.20.1.1",
    "192.168.3.4",
    "100.64.0.9",
    "[fd00::5]",
    "[64:ff9b::a09:807]",
    "[::1]",
];

#[test]
fn r108_answers_lead_to_no_inner_address() {
    let mut hosts = format!(
        "{HOME} reg.test\n11.22.33.45 store.test both.test\n10.9.8.7 both.test\n10.9.8.8 inside.test\n"
    );
    for (n, address) in INNER.iter().enumerate() {
        hosts += &format!("{} inner{n}.test\n", address.trim_matches(['[', ']']));
    }
    let mut addresses = vec![HOME, "11.22.33.45", "10.9.8.8"];
    addresses.extend(
        INNER.iter().map(|a| a.trim_matches(['[', ']'])).filter(|a| !["127.0.0.1", "::1"].contains(a)),
    );
    in_own_network("reach::inner_child", &addresses, &hosts);
}

/// What a registry at `home` may do to lead us to `there`, each with how it ends.
async fn lead(home: &str, name: &str, there: &str, policy: NetworkPolicy) -> Vec<Error> {
    let mut errors = Vec::new();
    let target = there.to_owned();
    let fake = Fake::start_at(
        &format!("{home}:0"),
        move |r, _| match r.path.split('/').nth(2)? {
            "token" => {
                let ask = format!(r#"Bearer realm="https://{target}/token""#);
                Some(Reply::new(401).header("www-authenticate", ask))
            }
            "upload" if r.method == "POST" => {
                Some(Reply::new(202).header("location", format!("https://{target}/up")))
            }
            "moved" => Some(Reply::new(307).header("location", format!("http://{target}{}", r.path))),
            _ => None,
        },
        |_, _| None,
    )
    .await;
    let host = format!("{name}:{}", fake.address.port());
    // What one request learned of a token service holds for the others of a client.
    let client = || builder().insecure(host.clone()).network_policy(policy).build();
    let blob = noise(100);
    errors.extend(client().resolve(&reference(&host, "token:1")).await.err());
    errors.extend(client().resolve(&reference(&host, "moved:1")).await.err());
    errors.extend(client().pull_bytes(&reference(&host, "moved:1"), &layer(&blob)).await.err());
    let source = Bytes::from(blob.clone());
    let options = PushOptions::default();
    errors.extend(
        client().push_blob(&reference(&host, "upload:1"), &layer(&blob), &source, &options).await.err(),
    );
    errors
}

#[tokio::test]
#[ignore = "run by r108_answers_lead_to_no_inner_address"]
async fn inner_child() {
    let refused = |e: &Error| {
        let text = e.to_string();
        let words = ["no answer may lead to", "on this machine refused"];
        words.iter().any(|w| text.contains(w)) || matches!(e, Error::UntrustedTokenService { .. })
    };
    for (n, address) in INNER.iter().enumerate() {
        let (there, seen) = listen(&format!("{address}:0")).await;
        let port = there.port();
        let machine = ["127.0.0.1", "169.254.169.254", "[::1]"].contains(address);
        let mut names = vec![format!("{address}:{port}"), format!("inner{n}.test:{port}")];
        match *address {
            "127.0.0.1" => names.extend([
                format!("localhost:{port}"),
                format!("0.0.0.0:{port}"),
                format!("[::ffff:127.0.0.1]:{port}"),
                format!("[64:ff9b::7f00:1]:{port}"),
            ]),
            "10.9.8.7" => names.push(format!("[::ffff:10.9.8.7]:{port}")),
            _ => {}
        }
        for name in names {
            let errors = lead(HOME, "reg.test", &name, NetworkPolicy::Public).await;
            assert!(errors.len() == 4 && errors.iter().all(refused), "{name}: {errors:?}");
            assert!(seen.lock().unwrap().is_empty(), "{name}");
            let errors = lead(HOME, "reg.test", &name, NetworkPolicy::Usual).await;
            assert_eq!(errors.len(), 4, "{name}");
            // Other networks than the internet are left to those who want it so; this machine never.
            let met = seen.lock().unwrap().drain(..).count();
            assert_eq!(met > 0, !machine, "{name}: {errors:?}");
        }
    }
    // The same ways lead to public addresses, and from a private registry to its own network.
    let (there, seen) = listen("11.22.33.45:0").await;
    lead(HOME, "reg.test", &format!("store.test:{}", there.port()), NetworkPolicy::Public).await;
    assert!(!seen.lock().unwrap().is_empty());
    let (there, seen) = listen("10.9.8.7:0").await;
    lead("10.9.8.8", "inside.test", &format!("inner2.test:{}", there.port()), NetworkPolicy::Public).await;
    assert!(!std::mem::take(&mut *seen.lock().unwrap()).is_empty());
    // Of a name with both, only the public address is asked.
    let errors = lead(HOME, "reg.test", &format!("both.test:{}", there.port()), NetworkPolicy::Public).await;
    assert!(errors.len() == 4 && seen.lock().unwrap().is_empty());
    let (there, seen) = listen("127.0.0.1:0").await;
    let errors =
        lead("10.9.8.8", "inside.test", &format!("inner0.test:{}", there.port()), NetworkPolicy::Usual).await;
    assert!(errors.iter().all(refused) && seen.lock().unwrap().is_empty(), "{errors:?}");
}

#[test]
fn r040_r108_addresses_in_descriptors_are_not_even_looked_at() {
    in_own_network("reach::foreign_child", &["10.9.8.7"], "127.0.0.1 localhost\n");
}

#[tokio::test]
#[ignore = "run by r040_r108_addresses_in_descriptors_are_not_even_looked_at"]
async fn foreign_child() {
    let met = Arc::new(AtomicUsize::new(0));
    let count = met.clone();
    let inner = Fake::start_at(
        "10.9.8.7:0",
        move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
            None
        },
        |_, _| None,
    )
    .await;
    let blob = noise(100);
    inner.content().add(&blob);
    let fake = Fake::start(|_, _| None).await;
    let mut foreign = cooper_oci::Descriptor::of(cooper_oci::media::OCI_LAYER_FOREIGN_TAR, &blob);
    foreign.urls = vec![
        format!("http://{}/v2/x/blobs/{}", inner.address, foreign.digest),
        "http://169.254.169.254/latest".into(),
    ];
    let error = builder().build().pull_bytes(&reference(fake.address, "x:1"), &foreign).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(met.load(Ordering::SeqCst), 0);
}
