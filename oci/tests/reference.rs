//! References: Docker's short names, canonical and familiar forms, and what is refused.
#![allow(clippy::unwrap_used)]

use cooper_oci::{Digest, Reference, ReferenceError};
use proptest::prelude::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn short_names_become_canonical_and_back() {
    for (text, canonical, familiar) in [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:latest", "docker.io/library/busybox:latest", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("library/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/a/b", "docker.io/a/b", "a/b"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("moby/buildkit:v1", "docker.io/moby/buildkit:v1", "moby/buildkit:v1"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:x", "localhost:5000/app:x", "localhost:5000/app:x"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        ("[2001:db8::1]/app", "[2001:db8::1]/app", "[2001:db8::1]/app"),
        ("127.0.0.1:80/a_b/c__d/e---f.g", "127.0.0.1:80/a_b/c__d/e---f.g", "127.0.0.1:80/a_b/c__d/e---f.g"),
        ("ghcr.io/o/r:T_x-1.2", "ghcr.io/o/r:T_x-1.2", "ghcr.io/o/r:T_x-1.2"),
        ("HOST/app", "HOST/app", "HOST/app"),
    ] {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.to_string(), canonical, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
    }
}

#[test]
fn digest_and_tag_may_come_together() {
    let text = format!("busybox:1@sha256:{HEX}");
    let reference: Reference = text.parse().unwrap();
    assert_eq!(reference.tag.as_deref(), Some("1"));
    assert_eq!(reference.digest, Some(Digest::sha256_of(b"")));
    assert_eq!(reference.familiar(), text);
    assert_eq!(reference.identifier(), format!("sha256:{HEX}"));
    let pinned: Reference = format!("busybox@sha256:{HEX}").parse().unwrap();
    assert_eq!(pinned.tag_or_latest(), None);
    assert_eq!(pinned.with_tag("2").to_string(), "docker.io/library/busybox:2");
    let plain: Reference = "busybox".parse().unwrap();
    assert_eq!(plain.tag_or_latest(), Some("latest"));
    assert_eq!(
        plain.with_digest(Digest::sha256_of(b"")).to_string(),
        format!("docker.io/library/busybox@sha256:{HEX}")
    );
}

#[test]
fn malformed_references_are_refused() {
    for bad in [
        "",
        ":tag",
        "@sha256:0",
        "a b",
        "a/",
        "/a",
        "a//b",
        "a:",
        "a:-x",
        "a:b:c",
        "-a",
        "a-",
        "a___b",
        "a._b",
        "a..b",
        "../a",
        "a/../b",
        "ex.com/",
        "ex.com:port/a",
        "ex.com:99999/a",
        "ex..com/a",
        "-ex.com/a",
        "[::1/a",
        "[::1]x/a",
        "[]/a",
        "http://ex.com/a",
        "user@ex.com/a",
        "a@sha256:abc",
        "a@md5:d41d8cd98f00b204e9800998ecf8427e",
        "é",
        "a\n",
        &format!("a:{}", "x".repeat(129)),
        &"a".repeat(256),
    ] {
        assert!(bad.parse::<Reference>().is_err(), "{bad}");
    }
    assert!(matches!("Busybox".parse::<Reference>(), Err(ReferenceError::Uppercase(_))));
    assert!(matches!(HEX.parse::<Reference>(), Err(ReferenceError::HexName(_))));
    assert!(matches!("a".repeat(255).parse::<Reference>(), Err(ReferenceError::TooLong(_))));
}

#[test]
fn a_short_form_that_means_something_else_is_not_used() {
    for long in [
        "docker.io/ex.com/a",
        "docker.io/localhost/a:tag",
        "docker.io/docker.io/a",
        &format!("docker.io/library/{HEX}"),
    ] {
        let reference: Reference = long.parse().unwrap();
        assert_eq!(reference.familiar(), long);
        assert_eq!(reference.familiar().parse::<Reference>().unwrap(), reference);
    }
    let plain: Reference = "docker.io/library/localhost".parse().unwrap();
    assert_eq!(plain.familiar(), "localhost");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        if let Ok(reference) = text.parse::<Reference>() {
            let again: Reference = reference.to_string().parse().unwrap();
            prop_assert_eq!(&again, &reference);
        }
    }

    #[test]
    fn what_is_read_reads_back(
        text in "([a-z0-9]{1,5}(\\.[a-z]{2,3})?(:[0-9]{2,4})?/)?[a-z0-9]{1,6}([._-][a-z0-9]{1,4}){0,2}(:[A-Za-z0-9_.-]{1,8})?"
    ) {
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference.clone());
            let latest = reference.clone().with_tag("latest");
            prop_assert_eq!(latest.familiar().parse::<Reference>().unwrap().name(), reference.name());
        }
    }
}
