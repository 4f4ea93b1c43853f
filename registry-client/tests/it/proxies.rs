//! The proxies of the environment, which a child of each test has: R-103.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use cooper_registry_client::{Client, Error, ErrorKind, Notice};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::common::fake::Fake;
use crate::common::tls::{Authority, Door};
use crate::common::{builder, reference, rerun};

/// `ann:hunter2` as it is sent.
const SENT: &str = "yw5uomh1bnrlcji=";

/// A proxy that notes the head of each request.
struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Answers `answer`, or connects to `to`, whatever it is asked for.
    async fn start(at: &str, to: Option<SocketAddr>, answer: &'static str) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let theirs = seen.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let seen = theirs.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.ok()?);
                    }
                    seen.lock().unwrap().push(String::from_utf8(head).unwrap());
                    stream.write_all(answer.as_bytes()).await.ok()?;
                    let mut there = TcpStream::connect(to?).await.ok()?;
                    tokio::io::copy_bidirectional(&mut stream, &mut there).await.ok()
                });
            }
        });
        Self { address, seen }
    }

    fn heads(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

const CONNECTED: &str = "HTTP/1.1 200 OK\r\n\r\n";
const ANSWERED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

async fn child(name: &'static str, dir: &Path, variables: &[(&'static str, &str)]) {
    let dir = dir.to_owned();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let run = move || {
        let paths: Vec<_> = variables.iter().map(|(name, value)| (*name, Path::new(value))).collect();
        rerun(name, &dir, &paths);
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}

#[tokio::test]
async fn r103_plain_http_goes_by_its_proxy() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::start("127.0.0.1:0", None, ANSWERED).await;
    let url = format!("http://ann:hunter2@{}", proxy.address);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        child("proxies::plain_child", dir.path(), &[(name, &url)]).await;
        let heads = proxy.heads();
        assert_eq!(heads.len(), 1, "{name}");
        assert!(heads[0].starts_with("GET http://plain.test:5000/v2/ "), "{heads:?}");
        assert!(heads[0].to_ascii_lowercase().contains(&format!("proxy-authorization: basic {SENT}")));
    }
    child("proxies::exempt_child", dir.path(), &[("HTTPS_PROXY", &url)]).await;
    for exempt in [".plain.test", "*", "plain.test:5000", "other, PLAIN.test", "test"] {
        for name in ["NO_PROXY", "no_proxy"] {
            child("proxies::exempt_child", dir.path(), &[("HTTP_PROXY", &url), (name, exempt)]).await;
        }
    }
    assert_eq!(proxy.heads(), Vec::<String>::new());
    for other in ["plain.test:5001", "in.test", "t.test,10.0.0.0/8"] {
        child("proxies::plain_child", dir.path(), &[("HTTP_PROXY", &url), ("NO_PROXY", other)]).await;
        assert_eq!(proxy.heads().len(), 1, "{other}");
    }
    for (exempt, direct) in [("0.0.0.0/8", true), ("198.51.100.0/24", false), ("0.0.0.0:2", false)] {
        let variables = [("HTTP_PROXY", url.as_str()), ("NO_PROXY", exempt)];
        child("proxies::address_child", dir.path(), &variables).await;
        assert_eq!(proxy.heads().is_empty(), direct, "{exempt}");
    }
}

#[tokio::test]
#[ignore = "run by r103_plain_http_goes_by_its_proxy"]
async fn plain_child() {
    builder().insecure("plain.test:5000").build().ping("plain.test:5000").await.unwrap();
}

#[tokio::test]
#[ignore = "run by r103_plain_http_goes_by_its_proxy"]
async fn exempt_child() {
    // Not by the proxy, so it is looked up, and there is no such name.
    let error = builder().insecure("plain.test:5000").build().ping("plain.test:5000").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
}

#[tokio::test]
#[ignore = "run by r103_plain_http_goes_by_its_proxy"]
async fn address_child() {
    // This machine, by an address that is not a loopback address; nobody answers there.
    drop(builder().insecure("0.0.0.0:1").build().ping("0.0.0.0:1").await);
}

#[tokio::test]
async fn r103_tls_goes_through_a_tunnel() {
    let Some(authority) = Authority::new() else { return };
    let behind = Fake::start(|_, _| None).await;
    let certificate = authority.issue("server", "DNS:secure.test", 2);
    let door = Door::open("127.0.0.1:0", behind.address, &certificate, None).await;
    let authority_file = authority.pem().display().to_string();
    for at in ["127.0.0.1:0", "[::1]:0"] {
        if TcpListener::bind(at).await.is_err() {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: no IPv6 loopback\n");
            continue;
        }
        let proxy = Proxy::start(at, Some(door.address), CONNECTED).await;
        let url = format!("http://ann:hunter2@{}/", proxy.address);
        for name in ["HTTPS_PROXY", "https_proxy", "all_proxy"] {
            let variables = [(name, url.as_str()), ("SSL_CERT_FILE", &authority_file)];
            child("proxies::tunnel_child", authority.dir.path(), &variables).await;
            let heads = proxy.heads();
            assert!(!heads.is_empty(), "{name}");
            for head in heads {
                assert!(head.starts_with("CONNECT secure.test:443 "), "{head}");
                assert!(head.to_ascii_lowercase().contains(&format!("proxy-authorization: basic {SENT}")));
                assert!(!head.contains("authorization: Basic Ym9iOg"), "the registry's is not the proxy's");
            }
        }
    }
    let log = behind.log();
    assert!(!log.is_empty() && log.iter().all(|r| r.header("proxy-authorization").is_none()), "{log:?}");
}

#[tokio::test]
#[ignore = "run by r103_tls_goes_through_a_tunnel"]
async fn tunnel_child() {
    builder().build().ping("secure.test").await.unwrap();
}

#[tokio::test]
async fn r103_a_proxy_that_refuses_is_named_and_its_password_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let auth = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=x\r\ncontent-length: 0\r\n\r\n";
    let bad = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
    let forbidden = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    for (answer, given, without, tries) in [
        (auth, "refuses the user name and password in", "wants a user name and password in", 1),
        (bad, "refuses to connect", "refuses to connect", 3),
        (forbidden, "refuses to connect", "refuses to connect", 3),
    ] {
        let proxy = Proxy::start("127.0.0.1:0", None, answer).await;
        let address = proxy.address.to_string();
        for (user, words) in [("ann:hunter2@", given), ("", without)] {
            let url = format!("http://{user}{address}");
            let variables = [("HTTPS_PROXY", url.as_str()), ("WORDS", words), ("ADDRESS", &address)];
            child("proxies::refused_child", dir.path(), &variables).await;
            let heads = proxy.heads();
            assert_eq!(heads.len(), tries, "{heads:?}");
        }
    }
    // Without TLS the proxy's refusal is an answer like others.
    let proxy = Proxy::start("127.0.0.1:0", None, auth).await;
    let (address, url) = (proxy.address.to_string(), format!("http://ann:hunter2@{}", proxy.address));
    let words = "refuses the user name and password in";
    let variables = [("HTTP_PROXY", url.as_str()), ("WORDS", words), ("ADDRESS", &address)];
    child("proxies::refused_child", dir.path(), &variables).await;
    assert_eq!(proxy.heads().len(), 1);
    // Nobody there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let url = format!("http://ann:hunter2@{nobody}");
    let variables = [("HTTPS_PROXY", url.as_str()), ("WORDS", "cannot connect by"), ("ADDRESS", &nobody)];
    child("proxies::refused_child", dir.path(), &variables).await;
}

#[tokio::test]
async fn r103_a_proxy_of_another_kind_is_refused_and_not_gone_without() {
    let dir = tempfile::tempdir().unwrap();
    let table = [
        ("socks5://ann:hunter2@127.0.0.1:1", "names a socks5 proxy"),
        ("socks5h://ann:hunter2@127.0.0.1:1", "names a socks5h proxy"),
        ("socks4://127.0.0.1:1", "names a socks4 proxy"),
        ("ftp://ann:hunter2@127.0.0.1:1", "names a ftp proxy"),
        ("http://ann:hunter2@", "is not the address of a proxy"),
    ];
    for (url, words) in table {
        let variables = [("ALL_PROXY", url), ("WORDS", words), ("ADDRESS", "ALL_PROXY")];
        child("proxies::refused_child", dir.path(), &variables).await;
        // Who does not go by it does not mind.
        let variables = [("HTTPS_PROXY", url)];
        child("proxies::exempt_child", dir.path(), &variables).await;
    }
}

/// Everything that an error says.
fn all_words(error: &Error) -> String {
    let mut text = format!("{error}\n{error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!("\n{cause}\n{cause:?}");
        source = cause.source();
    }
    text
}

#[tokio::test]
#[ignore = "run by r103_a_proxy_that_refuses_is_named_and_its_password_is_not"]
async fn refused_child() {
    let variable = |name| std::env::var(name).unwrap();
    let notices: Arc<Mutex<Vec<String>>> = Arc::default();
    let theirs = notices.clone();
    let observer =
        Arc::new(move |notice: &Notice| theirs.lock().unwrap().push(format!("{notice} {notice:?}")));
    let host = if std::env::var_os("HTTP_PROXY").is_some() { "plain.test:5000" } else { "secure.test" };
    let client: Client = builder().insecure("plain.test:5000").on_notice(observer).build();
    let error = client.resolve(&reference(host, "x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    let (words, address, text) = (variable("WORDS"), variable("ADDRESS"), error.to_string());
    assert!(text.contains(&words) && text.contains(&address) && text.contains(host), "{text}");
    let all = format!("{}{:?}", all_words(&error), notices.lock().unwrap());
    assert!(!all.contains("hunter2") && !all.to_ascii_lowercase().contains(SENT), "{all}");
}
