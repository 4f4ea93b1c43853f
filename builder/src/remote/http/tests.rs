//! Redirects, and bodies that break their budget.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;

#[test]
fn redirects_stay_at_least_as_safe() {
    let next = |from: &str, to: &str| {
        let from = Url::parse(from).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, to.parse().unwrap());
        redirect_target(&from, &headers).map(|u| u.to_string())
    };
    let from = "https://files.test/a/b";
    assert_eq!(next(from, "https://cdn.test/x?s=1").unwrap(), "https://cdn.test/x?s=1");
    assert_eq!(next(from, "../c").unwrap(), "https://files.test/c");
    for bad in [
        "http://files.test/x",
        "ftp://files.test/x",
        "file:///etc/passwd",
        "https://u:p@files.test/x",
        "https://",
    ] {
        assert!(next(from, bad).is_err(), "{bad}");
    }
    assert!(next("http://localhost:5000/x", "http://127.0.0.1:6000/y").is_ok());
}

/// Gets what a server says that then goes away; with `hold`, only after the client did.
fn get(said: &'static [u8], hold: bool, budget: Budget) -> Result<Vec<u8>, HttpError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        stream.write_all(said).unwrap();
        while hold && stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let request = Get { url, authorization: None, headers: HeaderMap::new() };
        let mut answer = Http::new(NetworkPolicy::Usual).get(&request, budget).await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    })
}

fn budget() -> Budget {
    Budget { max_bytes: 8, ..Budget::download() }
}

#[test]
fn bodies_end_at_the_budget_whether_announced_or_not() {
    assert_eq!(get(b"HTTP/1.1 200 OK\r\n\r\n12345678", false, budget()).unwrap(), b"12345678");
    for said in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789"[..],
        b"HTTP/1.1 200 OK\r\n\r\n123456789",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
    ] {
        assert!(matches!(get(said, false, budget()), Err(HttpError::TooLarge(8))));
    }
}

#[test]
fn a_body_that_breaks_off_or_stalls_may_be_asked_for_again() {
    let said = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12";
    let broken = get(said, false, budget()).unwrap_err();
    assert!(matches!(&broken, HttpError::Connection { what: "the transfer broke off", .. }), "{broken}");
    assert!(broken.may_pass());
    let stalled = get(said, true, Budget { idle: Duration::from_millis(1), ..budget() }).unwrap_err();
    assert!(matches!(stalled, HttpError::Slow(_)) && stalled.may_pass());
    let mute = get(b"", true, Budget { answer: Duration::from_millis(1), ..budget() }).unwrap_err();
    assert!(matches!(mute, HttpError::Slow(_)));
}
