#![allow(clippy::unwrap_used)]

use super::*;

fn judged(registry: &str, text: &str) -> Result<String, &'static str> {
    let plain = crate::endpoint::names_loopback(registry);
    let endpoint = Endpoint::new(&crate::hosts::Place::new(registry, "a/b"), plain, false).unwrap();
    let from = endpoint.url("blobs/uploads/");
    let mut headers = HeaderMap::new();
    headers.insert(LOCATION, text.parse().unwrap());
    location(&endpoint, &from, &headers).map(|url| url.unwrap().to_string())
}

#[test]
fn r062_locations_in_all_forms() {
    let good = [
        ("/v2/a/b/blobs/uploads/1?_state=x%3D", "https://reg.test/v2/a/b/blobs/uploads/1?_state=x%3D"),
        ("1", "https://reg.test/v2/a/b/blobs/uploads/1"),
        ("../uploads/2", "https://reg.test/v2/a/b/blobs/uploads/2"),
        ("?u=3", "https://reg.test/v2/a/b/blobs/uploads/?u=3"),
        ("https://REG.test:443/up", "https://reg.test/up"),
        ("http://reg.test/up", "https://reg.test/up"),
        ("null://reg.test/up", "https://reg.test/up"),
        ("https://store.test/up", "https://store.test/up"),
    ];
    for (text, want) in good {
        assert_eq!(judged("reg.test", text).as_deref(), Ok(want), "{text}");
    }
    for bad in [
        "null://store.test/up",
        "http://store.test/up",
        "http://reg.test:8080/up",
        "https://u:p@reg.test/up",
        "file:///up",
        "https://localhost/up",
    ] {
        assert!(judged("reg.test", bad).is_err(), "{bad}");
    }
    assert_eq!(judged("[::1]:5000", "http://[::1]:5000/up").as_deref(), Ok("http://[::1]:5000/up"));
    assert_eq!(judged("reg.test:8443", "http://reg.test:8443/up").as_deref(), Ok("https://reg.test:8443/up"));
    assert!(judged("localhost:5000", "http://evil.test/up").is_err());
}

#[test]
fn r061_the_digest_goes_behind_the_query() {
    let digest = Digest::sha256_of(b"");
    let ending = |url: &str| {
        let session = Session { location: Url::parse(url).unwrap(), least_chunk_bytes: None };
        session.ending(&digest).to_string()
    };
    let hex = digest.hex();
    assert_eq!(ending("https://r/u?_state=a%3Db"), format!("https://r/u?_state=a%3Db&digest=sha256%3A{hex}"));
    assert_eq!(ending("https://r/u"), format!("https://r/u?digest=sha256%3A{hex}"));
}

#[test]
fn r067_ranges_of_uploads() {
    let end = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, text.parse().unwrap());
        range_end(&headers)
    };
    assert_eq!(end("0-99"), Some(99));
    assert_eq!(end("bytes=0-99"), Some(99));
    for bad in ["", "99", "5-99", "0-", "0-99999999999999999999", "0-18446744073709551615"] {
        assert_eq!(end(bad), None, "{bad}");
    }
}
