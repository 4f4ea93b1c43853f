//! The usual round of pushing and pulling, against the quirks of each known registry (section 4.4 of the brief
//! that the R numbers come from).

use bytes::Bytes;
use cooper_oci::{Descriptor, media};
use cooper_registry_client::{Client, Credential, ErrorKind, PushOptions, Secret};

use crate::common::fake::{Content, Fake, Reply, Request, usual};
use crate::common::{builder, layer, manifest, noise, reference};

type Preset = fn(&Request, &mut Content) -> Option<Reply>;

/// A token service of its own at `/token`; what it gives is good for everything.
fn by_token(r: &Request, token: &str) -> Option<Reply> {
    let host = r.header("host").unwrap();
    if r.is("GET", "/token") {
        return Some(Reply::new(200).body(format!(r#"{{"token":"{token}","expires_in":300}}"#)));
    }
    let ask = format!(r#"Bearer realm="http://{host}/token",service="reg""#);
    (r.header("authorization") != Some(&format!("Bearer {token}")))
        .then(|| Reply::new(401).header("www-authenticate", ask))
}

fn by_basic(r: &Request) -> Option<Reply> {
    let good = r.header("authorization") == Some("Basic YW5uOmh1bnRlcjI=");
    (!good).then(|| Reply::new(401).header("www-authenticate", "Basic realm=\"reg\""))
}

fn missing(r: &Request, c: &mut Content, status: u16, code: &str) -> Option<Reply> {
    let name = r.path.rsplit('/').next().unwrap();
    let absent = r.is("GET", "/manifests/") && !c.manifests.contains_key(name);
    absent.then(|| Reply::new(status).body(format!(r#"{{"errors":[{{"code":"{code}","message":"no"}}]}}"#)))
}

fn hub(r: &Request, c: &mut Content) -> Option<Reply> {
    if let Some(ask) = by_token(r, "hub") {
        return Some(ask);
    }
    if !r.queries("mount").is_empty() {
        return Some(Reply::new(401));
    }
    let host = r.header("host").unwrap();
    let ask = format!(r#"Bearer realm="http://{host}/token",error="insufficient_scope""#);
    match missing(r, c, 401, "UNAUTHORIZED") {
        Some(reply) => Some(reply.header("www-authenticate", ask)),
        None => Some(usual(c, r).header("ratelimit-limit", "100;w=21600")),
    }
}

fn ecr(r: &Request, c: &mut Content) -> Option<Reply> {
    // The store behind it refuses two ways to authenticate.
    if r.path.starts_with("/s3/") {
        return Some(match r.header("authorization") {
            Some(_) => Reply::new(400).body("only one auth mechanism allowed"),
            None => usual(c, r),
        });
    }
    if let Some(ask) = by_basic(r) {
        return Some(ask);
    }
    match r.method.as_str() {
        "GET" if r.path.contains("/blobs/sha256:") => {
            let host = r.header("host").unwrap();
            // Another name of the same machine: another origin.
            let there = host.replace("127.0.0.1", "localhost");
            Some(Reply::new(307).header("location", format!("http://{there}/s3{}?sig=1", r.path)))
        }
        "PATCH" => {
            usual(c, r);
            Some(Reply::new(201).header("range", "0-0"))
        }
        "PUT" if r.path.contains("/manifests/") => {
            usual(c, r);
            Some(Reply::new(201))
        }
        "GET" if r.queries("n").first().is_some_and(|n| n.parse::<u32>().unwrap() > 1000) => {
            Some(Reply::new(400))
        }
        _ => missing(r, c, 404, "MANIFEST_UNKNOWN"),
    }
}

fn ghcr(r: &Request, c: &mut Content) -> Option<Reply> {
    if let Some(ask) = by_token(r, "opaque.token-of_ghcr") {
        return Some(ask);
    }
    if r.method == "PATCH" {
        return Some(Reply::new(404));
    }
    if r.path.ends_with("/tags/list") {
        return Some(Reply::new(200).body(r#"{"name":"app","tags":null}"#));
    }
    missing(r, c, 403, "DENIED")
}

fn gar(r: &Request, c: &mut Content) -> Option<Reply> {
    if let Some(ask) = by_token(r, "gar") {
        // Only the root says how to log in.
        return Some(if r.path == "/token" || r.path == "/v2/" { ask } else { Reply::new(401) });
    }
    match r.method.as_str() {
        "PATCH" => Some(Reply::new(405)),
        // An address is good for one request.
        "PUT" if r.path.contains("/uploads/") && c.nth(r) > 1 => Some(Reply::new(404)),
        _ => missing(r, c, 404, "MANIFEST_UNKNOWN"),
    }
}

fn quay(r: &Request, c: &mut Content) -> Option<Reply> {
    if let Some(ask) = by_token(r, "quay") {
        return Some(ask);
    }
    if r.path != "/token" && c.nth(r) == 1 && matches!(r.method.as_str(), "GET" | "HEAD") {
        return Some(Reply::new(if r.path.len().is_multiple_of(2) { 502 } else { 429 }));
    }
    if !r.queries("mount").is_empty() && r.queries("from").is_empty() {
        return Some(Reply::new(400));
    }
    missing(r, c, 404, "MANIFEST_UNKNOWN")
}

fn harbor(r: &Request, c: &mut Content) -> Option<Reply> {
    if let Some(ask) = by_token(r, "harbor") {
        return Some(ask);
    }
    if r.method == "HEAD" && r.path.contains("/manifests/") && usual(c, r).is(200) {
        return Some(Reply::new(200).header("content-length", 0));
    }
    missing(r, c, 404, "UNKNOWN")
}

fn artifactory(r: &Request, c: &mut Content) -> Option<Reply> {
    if r.is("POST", "/token") {
        return Some(Reply::new(401));
    }
    if let Some(ask) = by_token(r, "artifactory") {
        return Some(ask);
    }
    if r.path.ends_with("/tags/list") {
        return Some(Reply::new(200).body(r#"{"name":"app","tags":["1","sha256:0123"]}"#));
    }
    missing(r, c, 403, "DENIED")
}

fn nexus(r: &Request, c: &mut Content) -> Option<Reply> {
    let host = r.header("host").unwrap().to_owned();
    if r.is("GET", "/v2/token") {
        return Some(Reply::new(200).body(r#"{"token":"DockerToken.nexus"}"#));
    }
    if r.header("authorization") != Some("Bearer DockerToken.nexus") {
        let ask = format!(r#"Bearer realm="null://{host}/v2/token",service="null://{host}/v2/token""#);
        return Some(Reply::new(401).header("www-authenticate", ask));
    }
    if r.path.ends_with("/tags/list") {
        return Some(Reply::new(200).body(r#"{"name":"app","tags":null}"#));
    }
    if r.method == "POST" {
        usual(c, r);
        let id = c.uploads.keys().next_back().unwrap().clone();
        return Some(Reply::new(202).header("location", format!("null://{host}{}{id}", r.path)));
    }
    missing(r, c, 404, "MANIFEST_UNKNOWN")
}

fn acr(r: &Request, c: &mut Content) -> Option<Reply> {
    if r.is("POST", "/token") {
        return Some(Reply::new(400).body(r#"{"error":"unsupported"}"#));
    }
    if r.path.starts_with("/store/") {
        return Some(if r.header("authorization").is_some() { Reply::new(403) } else { usual(c, r) });
    }
    if let Some(ask) = by_token(r, "acr") {
        return Some(ask);
    }
    if r.is("GET", "/blobs/sha256:") {
        let there = r.header("host").unwrap().replace("127.0.0.1", "localhost");
        return Some(Reply::new(307).header("location", format!("http://{there}/store{}", r.path)));
    }
    missing(r, c, 404, "MANIFEST_UNKNOWN")
}

fn zot(r: &Request, c: &mut Content) -> Option<Reply> {
    if r.path.contains("/referrers/") {
        let reply = Reply::new(200).header("content-type", media::OCI_INDEX);
        return Some(reply.body(
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
        ));
    }
    missing(r, c, 404, "MANIFEST_UNKNOWN")
}

fn red_hat(r: &Request, c: &mut Content) -> Option<Reply> {
    missing(r, c, 404, "UNKNOWN")
}

fn distribution(_: &Request, _: &mut Content) -> Option<Reply> {
    None
}

fn client(fake: &Fake, credential: Credential) -> Client {
    builder().credential(&fake.address.to_string(), credential).build()
}

fn basic() -> Credential {
    Credential::Basic { username: "ann".into(), password: Secret::new("hunter2") }
}

fn refresh() -> Credential {
    Credential::IdentityToken { username: Some("robot$ci".into()), token: Secret::new("refresh") }
}

#[tokio::test]
async fn every_preset_takes_and_gives_an_image() {
    let table: [(&str, Preset, Credential, ErrorKind, &[&str]); 12] = [
        ("hub", hub, basic(), ErrorKind::Denied, &["1"]),
        ("ecr", ecr, basic(), ErrorKind::NotFound, &["1"]),
        ("ghcr", ghcr, basic(), ErrorKind::Denied, &[]),
        ("gar", gar, basic(), ErrorKind::NotFound, &["1"]),
        ("quay", quay, basic(), ErrorKind::NotFound, &["1"]),
        ("harbor", harbor, basic(), ErrorKind::NotFound, &["1"]),
        ("artifactory", artifactory, refresh(), ErrorKind::Denied, &["1"]),
        ("nexus", nexus, basic(), ErrorKind::NotFound, &[]),
        ("acr", acr, refresh(), ErrorKind::NotFound, &["1"]),
        ("zot", zot, basic(), ErrorKind::NotFound, &["1"]),
        ("red hat", red_hat, basic(), ErrorKind::NotFound, &["1"]),
        ("distribution", distribution, basic(), ErrorKind::NotFound, &["1"]),
    ];
    for (what, preset, credential, absent, tags) in table {
        let fake = Fake::start(preset).await;
        let client = client(&fake, credential);
        let name = reference(fake.address, "app:1");
        let (big, small) = (noise(300_000), noise(999));
        let chunked = PushOptions { chunk_bytes: Some(100_000), ..PushOptions::default() };
        let mounting = PushOptions { mount_from: vec!["base".into()], ..PushOptions::default() };
        for (blob, options) in [(&big, &chunked), (&small, &mounting)] {
            let source = Bytes::from(blob.clone());
            client.push_blob(&name, &layer(blob), &source, options).await.expect(what);
        }
        let bytes = manifest(&layer(&small), &layer(&big));
        let digest = client.push_manifest(&name, media::OCI_MANIFEST, bytes.clone()).await.expect(what);
        assert_eq!(client.resolve(&name).await.expect(what).bytes, bytes, "{what}");
        let expected = Descriptor::of(media::OCI_MANIFEST, &bytes);
        assert_eq!(client.head_manifest(&name).await.expect(what), Some(expected), "{what}");
        for blob in [&big, &small] {
            assert!(client.pull_bytes(&name, &layer(blob)).await.expect(what) == *blob, "{what}");
        }
        assert_eq!(client.list_tags(&name).await.expect(what), tags, "{what}");
        assert_eq!(client.list_tags_after(&name, None, 5000).await.expect(what), tags, "{what}");
        assert!(client.referrers(&name, &digest, None).await.expect(what).is_empty(), "{what}");
        let error = client.resolve(&name.with_tag("none")).await.expect_err(what);
        assert_eq!(error.kind(), absent, "{what}: {error}");
        // A refresh token or password is for the token service alone, where there is one.
        let leaked = fake.log().into_iter().filter(|r| !r.path.contains("token")).any(|r| {
            let authorization = r.header("authorization").unwrap_or_default();
            authorization.starts_with("Basic") && what != "ecr" || authorization.contains("refresh")
        });
        assert!(!leaked, "{what}");
    }
}
