//! Mirrors and other settings of hosts: R-050.

use std::path::Path;
use std::sync::{Arc, Mutex};

use cooper_oci::{Descriptor, media};
use cooper_registry_client::{
    Client, CopyOptions, Credential, ErrorKind, HostFiles, Hosts, Notice, PushOptions, Secret, WriteSink,
};

use crate::common::fake::{Fake, Reply, blob};
use crate::common::{builder, layer, manifest, noise, reference};

/// A registry with one image, `library/app:1`.
async fn stocked(
    script: impl Fn(&crate::common::fake::Request) -> Option<Reply> + Send + Sync + 'static,
) -> Fake {
    let fake = Fake::start(move |r, _| script(r)).await;
    let bytes = image();
    {
        let mut content = fake.content();
        content.add(&noise(50_000));
        content.add(b"{}");
        content
            .manifests
            .insert(Descriptor::of("", &bytes).digest.to_string(), crate::common::fake::manifest(&bytes));
        content.manifests.insert("1".into(), crate::common::fake::manifest(&bytes));
    }
    fake
}

fn image() -> Vec<u8> {
    manifest(&Descriptor::of(media::OCI_CONFIG, b"{}"), &layer(&noise(50_000)))
}

fn conf(dir: &Path, text: &str) -> Hosts {
    let path = dir.join("registries.conf");
    std::fs::write(&path, text).unwrap();
    Hosts::new(HostFiles { registries: vec![path], certs: vec![dir.join("certs.d")] })
}

fn mirrored(upstream: &Fake, mirrors: &[&Fake]) -> String {
    let mut text = format!("[[registry]]\nprefix = 'reg.test'\nlocation = '{}'\n", upstream.address);
    for mirror in mirrors {
        text += &format!("[[registry.mirror]]\nlocation = '{}'\n", mirror.address);
    }
    text
}

/// A client with these hosts, and what it had to say.
fn client(hosts: Hosts) -> (Client, Arc<Mutex<Vec<Notice>>>) {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let theirs = notices.clone();
    let observer = Arc::new(move |notice: &Notice| theirs.lock().unwrap().push(notice.clone()));
    (builder().hosts(hosts).on_notice(observer).build(), notices)
}

#[tokio::test]
async fn r050_mirrors_are_asked_in_order_and_fallen_through() {
    let dir = tempfile::tempdir().unwrap();
    let name = reference("reg.test", "library/app:1");
    let full = stocked(|_| None).await;
    let empty = Fake::start(|_, _| None).await;
    let failing = Fake::start(|_, _| Some(Reply::new(503))).await;
    let hosts = conf(dir.path(), &mirrored(&full, &[&empty, &failing]));
    let (client, notices) = client(hosts);
    let resolved = client.resolve(&name).await.unwrap();
    assert_eq!(resolved.bytes, image());
    let mut bytes = Vec::new();
    client.pull_blob(&name, &layer(&noise(50_000)), &mut bytes).await.unwrap();
    assert!(bytes == noise(50_000));
    assert_eq!(empty.log().len(), 2, "once for the manifest, once for the blob");
    assert!(failing.log().len() <= 3, "a mirror is not waited for: {}", failing.log().len());
    let notices = notices.lock().unwrap();
    let text: Vec<String> = notices.iter().map(ToString::to_string).collect();
    assert!(text[0].contains("reg.test/library/app:1") && text[0].contains("not found"), "{text:?}");
    assert!(text[1].contains("503") && text[1].contains(&full.address.to_string()), "{text:?}");
}

#[tokio::test]
async fn r050_a_copy_goes_on_where_a_mirror_broke_off() {
    let dir = tempfile::tempdir().unwrap();
    let big = layer(&noise(50_000)).digest.to_string();
    let asked = big.clone();
    let mirror = stocked(move |r| match (r.is("GET", &asked), r.header("range")) {
        (true, None) => Some(blob(&noise(50_000), None).cut(20_000)),
        (true, Some(_)) => Some(Reply::new(503)),
        _ => None,
    })
    .await;
    let (upstream, target) = (stocked(|_| None).await, Fake::start(|_, _| None).await);
    let (client, _) = client(conf(dir.path(), &mirrored(&upstream, &[&mirror])));
    let (from, to) = (reference("reg.test", "library/app:1"), reference(target.address, "app:1"));
    client.copy(&from, &to, &CopyOptions::default()).await.unwrap();
    assert!(target.content().blobs[&big] == noise(50_000));
    let requests = upstream.requests("GET", &big);
    let ranges: Vec<_> = requests.iter().map(|r| r.header("range")).collect();
    assert_eq!(ranges, [Some("bytes=20000-")]);
}

#[tokio::test]
async fn r050_the_nearest_mirror_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let name = reference("reg.test", "library/app:1");
    let (upstream, mirror) = (stocked(|_| None).await, stocked(|_| None).await);
    let hosts = conf(dir.path(), &mirrored(&upstream, &[&mirror]));
    let (client, notices) = client(hosts);
    client.resolve(&name).await.unwrap();
    client.pull_bytes(&name, &layer(&noise(50_000))).await.unwrap();
    assert!(client.head_manifest(&name).await.unwrap().is_some());
    assert!(upstream.log().is_empty() && notices.lock().unwrap().is_empty());
    // What is pushed goes to the registry itself.
    let blob = noise(100);
    let source = bytes::Bytes::from(blob.clone());
    client.push_blob(&name, &layer(&blob), &source, &PushOptions::default()).await.unwrap();
    assert!(mirror.requests("POST", "").is_empty() && !upstream.requests("POST", "/library/app/").is_empty());
}

#[tokio::test]
async fn r050_a_mirror_cannot_change_what_a_digest_names() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = stocked(|_| None).await;
    let lying = stocked(|r| {
        let body =
            if r.path.contains("/blobs/") { vec![7; 50_000] } else { b"{\"schemaVersion\":2}".to_vec() };
        Some(Reply::new(200).header("content-type", media::OCI_MANIFEST).body(body))
    })
    .await;
    let hosts = conf(dir.path(), &mirrored(&upstream, &[&lying]));
    let (client, notices) = client(hosts);
    let digest = Descriptor::of("", &image()).digest;
    let pinned = reference("reg.test", "library/app").with_digest(digest);
    assert_eq!(client.resolve(&pinned).await.unwrap().bytes, image());
    let mut sink = WriteSink::restartable(Vec::new(), |v: &mut Vec<u8>| {
        v.clear();
        Ok(())
    });
    client.pull_blob(&pinned, &layer(&noise(50_000)), &mut sink).await.unwrap();
    assert!(sink.into_inner().await.unwrap() == noise(50_000));
    assert_eq!(notices.lock().unwrap().len(), 2, "both are told");
    // Where nothing can be taken back, the pull fails rather than mix two places' bytes.
    let mut out = cooper_registry_client::AsyncWriteSink(tokio::io::sink());
    let error = client.pull_blob(&pinned, &layer(&noise(50_000)), &mut out).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
}

#[tokio::test]
async fn r050_when_all_fail_the_error_names_each() {
    let dir = tempfile::tempdir().unwrap();
    let (upstream, mirror) =
        (Fake::start(|_, _| None).await, Fake::start(|_, _| Some(Reply::new(500))).await);
    let (client, _) = client(conf(dir.path(), &mirrored(&upstream, &[&mirror])));
    let name = reference("reg.test", "library/app:1");
    let error = client.resolve(&name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "the registry's own word counts");
    let text = error.to_string();
    assert!(text.contains("reg.test/library/app:1") && text.contains(&mirror.address.to_string()), "{text}");
    assert!(text.contains("500"), "{text}");
    assert!(client.head_manifest(&name).await.unwrap().is_none());
}

#[tokio::test]
async fn r050_credentials_are_each_places_own() {
    let dir = tempfile::tempdir().unwrap();
    let guarded = |r: &crate::common::fake::Request| {
        let ask = Reply::new(401).header("www-authenticate", "Basic realm=x");
        r.header("authorization").is_none().then_some(ask)
    };
    let (upstream, mirror) = (stocked(guarded).await, stocked(guarded).await);
    let hosts = conf(dir.path(), &mirrored(&upstream, &[&mirror]));
    let basic = |user: &str| Credential::Basic { username: user.into(), password: Secret::new("pw") };
    let client = builder()
        .hosts(hosts)
        .credential(&upstream.address.to_string(), basic("up"))
        .credential("reg.test", basic("name"))
        .build();
    client.resolve(&reference("reg.test", "library/app:1")).await.unwrap();
    assert!(mirror.log().iter().all(|r| r.header("authorization").is_none()));
    let sent: Vec<_> =
        upstream.log().iter().filter_map(|r| r.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, ["Basic dXA6cHc="], "only what is stored for that host");
}

#[tokio::test]
async fn r050_hosts_toml_adds_namespace_headers_and_path() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = stocked(|_| None).await;
    let mirror = Fake::start(|r, _| {
        let digest = Descriptor::of("", &image()).digest;
        match r.path.as_str() {
            "/proxy/hub/library/app/manifests/1" => {
                Some(Reply::new(200).header("content-type", media::OCI_MANIFEST).body(image()))
            }
            path if path.starts_with("/proxy/hub/") && path.ends_with(digest.as_str()) => None,
            _ => None,
        }
    })
    .await;
    let certs = dir.path().join("certs.d/reg.test");
    std::fs::create_dir_all(&certs).unwrap();
    let text = format!(
        "server = 'http://{}'\n[host.'http://{}/proxy/hub']\ncapabilities = ['resolve', 'pull']\noverride_path = true\n[host.'http://{}/proxy/hub'.header]\nx-key = 'k'\n",
        upstream.address, mirror.address, mirror.address
    );
    std::fs::write(certs.join("hosts.toml"), text).unwrap();
    let hosts = Hosts::new(HostFiles { certs: vec![dir.path().join("certs.d")], ..HostFiles::default() });
    let (client, _) = client(hosts);
    let name = reference("reg.test", "library/app:1");
    client.resolve(&name).await.unwrap();
    let request = &mirror.log()[0];
    assert_eq!(request.queries("ns"), ["reg.test"]);
    assert_eq!((request.header("x-key"), request.header("oci-namespace")), (Some("k"), Some("reg.test")));
    // The blob is not there; the server has it, and is not told another host's header.
    client.pull_bytes(&name, &layer(&noise(50_000))).await.unwrap();
    assert!(upstream.log().iter().all(|r| r.header("x-key").is_none()));
}

#[tokio::test]
async fn blocked_and_broken_settings_stop_before_any_request() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = stocked(|_| None).await;
    let host = upstream.address;
    let hosts = conf(dir.path(), &format!("[[registry]]\nlocation = '{host}'\nblocked = true\n"));
    let error = builder().hosts(hosts).build().resolve(&reference(host, "library/app:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("blocked by"), "{error}");
    let hosts = conf(dir.path(), "[[registry]]\nlocation = 1\n");
    let error = builder().hosts(hosts).build().resolve(&reference(host, "library/app:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(upstream.log().is_empty());
}

#[test]
fn kinds_have_lasting_names() {
    let table = [
        (ErrorKind::Auth, "auth"),
        (ErrorKind::Denied, "denied"),
        (ErrorKind::NotFound, "not-found"),
        (ErrorKind::Network, "network"),
        (ErrorKind::RateLimited, "rate-limited"),
        (ErrorKind::Protocol, "protocol"),
        (ErrorKind::DigestMismatch, "digest-mismatch"),
        (ErrorKind::TooLarge, "too-large"),
        (ErrorKind::Local, "local"),
        (ErrorKind::Config, "config"),
        (ErrorKind::Cancelled, "cancelled"),
    ];
    for (kind, name) in table {
        assert_eq!(kind.name(), name);
    }
}

#[tokio::test]
async fn r050_what_hosts_toml_adds_goes_with_each_request_to_that_host() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = stocked(|r| {
        if r.header("x-key") != Some("k") {
            return Some(Reply::new(400).body("who let you in?"));
        }
        let root = Reply::new(401).header("www-authenticate", "Basic realm=x");
        match (r.header("authorization"), r.path.as_str()) {
            (Some(_), _) => None,
            // Only the root says how to log in.
            (None, "/v2/") => Some(root),
            (None, _) => Some(Reply::new(401)),
        }
    })
    .await;
    let certs = dir.path().join("reg.test");
    std::fs::create_dir_all(&certs).unwrap();
    let text = format!("server = 'http://{}'\n[header]\nx-key = 'k'\n", upstream.address);
    std::fs::write(certs.join("hosts.toml"), text).unwrap();
    let hosts = Hosts::new(HostFiles { certs: vec![dir.path().to_owned()], ..HostFiles::default() });
    let basic = Credential::Basic { username: "ann".into(), password: Secret::new("pw") };
    let client = builder().hosts(hosts).credential(&upstream.address.to_string(), basic).build();
    let name = reference("reg.test", "library/app:1");
    assert_eq!(client.resolve(&name).await.unwrap().bytes, image());
    client.pull_bytes(&name, &layer(&noise(50_000))).await.unwrap();
    let chunks = PushOptions { chunk_bytes: Some(300), ..PushOptions::default() };
    for (size, options) in [(1000, PushOptions::default()), (1001, chunks)] {
        let blob = noise(size);
        let source = bytes::Bytes::from(blob.clone());
        client.push_blob(&name, &layer(&blob), &source, &options).await.unwrap();
    }
    client.push_manifest(&name, media::OCI_MANIFEST, image()).await.unwrap();
    client.list_tags(&name).await.unwrap();
    assert!(upstream.log().iter().all(|r| r.header("x-key") == Some("k")));
}
