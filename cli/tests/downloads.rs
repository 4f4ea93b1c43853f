//! ADD from URLs within the network policy; proxies of the environment.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cooper_testkit::{Context, Output, can_build, tool};

/// A server that says the same to all; how many have asked.
fn server(answer: String) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, asked)
}

fn build(flags: &[&str], source: &str) -> Output {
    let context = Context::new("downloads");
    let file = context.write("project/Dockerfile", format!("FROM scratch\nADD {source} /file\n"));
    let mut words = flags.to_vec();
    words.push(file.parent().unwrap().to_str().unwrap());
    context.build(words)
}

#[test]
fn r108_with_the_policy_public_nothing_is_added_from_this_machine() {
    if !can_build() {
        return;
    }
    let (address, asked) =
        server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi".to_owned());
    let mut sources =
        vec![format!("http://{address}/file"), format!("http://localhost:{}/file", address.port())];
    build(&[], &sources[0]).expect_success();
    assert_eq!(asked.swap(0, Ordering::SeqCst), 1);
    if tool("git").is_some() {
        sources.extend([format!("http://{address}/a.git"), "git@127.0.0.1:a.git".to_owned()]);
    }
    for source in sources {
        let output = build(&["--network-policy=public"], &source).expect_code(3);
        assert!(
            output.stderr.contains("this machine, where the network policy lets no download go"),
            "{output}"
        );
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn r108_a_redirect_does_not_lead_to_what_clouds_tell_their_machines() {
    if !can_build() {
        return;
    }
    let to = "http://169.254.169.254/latest/meta-data/";
    let answer =
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let (address, asked) = server(answer);
    let output = build(&[], &format!("http://{address}/file")).expect_code(3);
    assert!(output.stderr.contains("169.254.169.254, a link-local address"), "{output}");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "it is not tried again");
}

#[test]
fn r103_a_proxy_is_named_without_its_password() {
    for (proxy, words) in [
        ("http://ann:hunter2@127.0.0.1:1", "cannot connect by the proxy 127.0.0.1:1 (HTTPS_PROXY)"),
        ("socks5://ann:hunter2@127.0.0.1:1", "HTTPS_PROXY names a socks5 proxy"),
    ] {
        let context = Context::new("proxy");
        for arguments in [&["--debug", "digest", "secure.test/x:1"][..], &["-D", "pull", "secure.test/x:1"]] {
            let mut command = context.command(arguments);
            let output = Output::of(command.env("HTTPS_PROXY", proxy)).expect_code(3);
            assert!(output.stderr.contains(words), "{output}");
            assert!(!output.stderr.contains("hunter2") && !output.stdout.contains("hunter2"), "{output}");
        }
    }
}
