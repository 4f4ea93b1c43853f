//! Copying between registries, and indexes of what they hold.

use bytes::Bytes;
use cooper_oci::{Algorithm, Descriptor, Hasher, Index, Manifest, Platform, Reference, media};
use cooper_registry_client::{Client, CopyOptions, Document, ErrorKind, PushOptions, index_of};

use crate::common::debian::start;
use crate::common::fake::{Fake, Reply, blob};
use crate::common::{builder, layer, noise, reference};

/// Pushes an image of one layer for a platform, and gives its entry for an index.
async fn image(client: &Client, name: &Reference, platform: &str, content: &[u8]) -> Descriptor {
    let platform: Platform = platform.parse().unwrap();
    let mut config = serde_json::to_value(&platform).unwrap();
    config["rootfs"] = serde_json::json!({"type": "layers", "diff_ids": []});
    let config = config.to_string().into_bytes();
    let top = layer(content);
    let bottom = Descriptor::of(media::OCI_CONFIG, &config);
    let options = PushOptions::default();
    client.push_blob(name, &top, &Bytes::from(content.to_vec()), &options).await.unwrap();
    client.push_blob(name, &bottom, &Bytes::from(config), &options).await.unwrap();
    let bytes = serde_json::to_vec(&Manifest::new(bottom, vec![top])).unwrap();
    let mut entry = Descriptor::of(media::OCI_MANIFEST, &bytes);
    let by_digest = Reference { tag: None, digest: Some(entry.digest.clone()), ..name.clone() };
    client.push_manifest(&by_digest, media::OCI_MANIFEST, bytes).await.unwrap();
    entry.platform = Some(platform);
    entry
}

async fn multi(client: &Client, name: &Reference) -> Index {
    let one = Box::pin(image(client, name, "linux/amd64", &noise(300_000))).await;
    let two = Box::pin(image(client, name, "linux/arm64", &noise(200_000))).await;
    let index = index_of(vec![two, one]);
    client.push_manifest(name, media::OCI_INDEX, serde_json::to_vec(&index).unwrap()).await.unwrap();
    index
}

#[tokio::test]
async fn an_index_goes_from_one_registry_to_another_with_all_below_it() {
    let (Some(here), Some(there)) = (start(None), start(None)) else { return };
    let client = Client::builder().build();
    let (from, to) = (reference(&here.host, "a/app:1"), reference(&there.host, "b/app:2"));
    let index = multi(&client, &from).await;
    let everything = CopyOptions::default();
    let copied = client.copy(&from, &to, &everything).await.unwrap();
    assert_eq!((copied.manifests, copied.blobs_sent, copied.blobs_existed), (3, 4, 0));
    assert!(copied.sent_bytes > 500_000);
    let Document::Index(arrived) = client.resolve(&to).await.unwrap().parse().unwrap() else { panic!() };
    assert_eq!(arrived, index);
    let Document::Manifest(arm) =
        client.fetch_manifest(&to, &index.manifests[1].digest).await.unwrap().parse().unwrap()
    else {
        panic!()
    };
    assert!(client.pull_bytes(&to, &arm.layers[0]).await.unwrap() == noise(200_000));

    // Again: nothing is asked of the blobs. Elsewhere in that registry: nothing is sent.
    let again = client.copy(&from, &to.with_tag("3"), &everything).await.unwrap();
    assert_eq!((again.manifests, again.blobs_sent, again.blobs_existed), (1, 0, 0));
    let mounted = client.copy(&to, &reference(&there.host, "c/app:1"), &everything).await.unwrap();
    assert_eq!((mounted.blobs_mounted, mounted.blobs_sent), (4, 0));
}

#[tokio::test]
async fn one_platform_is_one_image() {
    let (Some(here), Some(there)) = (start(None), start(None)) else { return };
    let client = Client::builder().build();
    let (from, to) = (reference(&here.host, "app:1"), reference(&there.host, "app:1"));
    let index = multi(&client, &from).await;
    let arm = |p: &str| CopyOptions { platform: Some(p.parse().unwrap()), ..CopyOptions::default() };
    let copied = client.copy(&from, &to, &arm("linux/arm64")).await.unwrap();
    assert_eq!(copied.descriptor.digest, index.manifests[1].digest);
    assert_eq!((copied.manifests, copied.blobs_sent), (1, 2));
    assert_eq!(client.resolve(&to).await.unwrap().descriptor.digest, index.manifests[1].digest);
    let error = client.copy(&from, &to, &arm("linux/s390x")).await.unwrap_err();
    assert!(error.to_string().contains("no image for linux/s390x"), "{error}");
    // By digest alone no tag is made; another digest is refused.
    let bare = Reference { tag: None, digest: Some(copied.descriptor.digest.clone()), ..to.clone() };
    let elsewhere = Reference { repository: "other".into(), ..bare };
    client.copy(&from, &elsewhere, &arm("linux/arm64")).await.unwrap();
    assert!(
        client.list_tags(&elsewhere).await.is_err_and(|e| e.kind() == ErrorKind::NotFound)
            || client.list_tags(&elsewhere).await.unwrap().is_empty()
    );
    let error = client.copy(&from, &elsewhere, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
}

#[tokio::test]
async fn referrers_come_along() {
    let (Some(here), Some(there)) = (start(None), start(None)) else { return };
    let client = Client::builder().build();
    let (from, to) = (reference(&here.host, "app:1"), reference(&there.host, "app:1"));
    let index = multi(&client, &from).await;
    let empty = Descriptor::of(media::OCI_EMPTY, b"{}");
    client.push_blob(&from, &empty, &Bytes::from_static(b"{}"), &PushOptions::default()).await.unwrap();
    // Something signs one image, and something signs the signature.
    let mut subject = index.manifests[0].clone();
    for kind in ["application/x-signature", "application/x-second"] {
        let mut manifest = Manifest::new(empty.clone(), vec![empty.clone()]);
        manifest.artifact_type = Some(kind.into());
        manifest.subject = Some(subject.clone());
        let bytes = serde_json::to_vec(&manifest).unwrap();
        subject = Descriptor::of(media::OCI_MANIFEST, &bytes);
        let by_digest = Reference { tag: None, digest: Some(subject.digest.clone()), ..from.clone() };
        client.push_manifest(&by_digest, media::OCI_MANIFEST, bytes).await.unwrap();
    }
    let options = CopyOptions { referrers: true, ..CopyOptions::default() };
    let copied = client.copy(&from, &to, &options).await.unwrap();
    assert_eq!(copied.manifests, 5);
    let signatures = client.referrers(&to, &index.manifests[0].digest, None).await.unwrap();
    assert_eq!(signatures.len(), 1);
    assert_eq!(signatures[0].artifact_type.as_deref(), Some("application/x-signature"));
    let second = client.referrers(&to, &signatures[0].digest, None).await.unwrap();
    assert_eq!(second[0].artifact_type.as_deref(), Some("application/x-second"));
}

#[tokio::test]
async fn a_break_on_either_side_costs_only_what_was_lost() {
    let content = noise(400_000);
    let source = Fake::start(|r, c| {
        let range = r.header("range").map(str::to_owned);
        let broken = r.is("GET", "/blobs/") && range.is_none();
        let bytes = c.blobs.values().find(|b| b.len() == 400_000)?;
        (broken && r.path.contains(&layer(bytes).digest.to_string())).then(|| blob(bytes, None).cut(150_000))
    })
    .await;
    let target = Fake::start(|_, _| None).await;
    let client = builder().build();
    let (from, to) = (reference(source.address, "a:1"), reference(target.address, "b:1"));
    let bytes = crate::common::manifest(&Descriptor::of(media::OCI_CONFIG, b"{}"), &layer(&content));
    source.content().add(&content);
    source.content().add(b"{}");
    source.content().manifests.insert("1".into(), crate::common::fake::manifest(&bytes));
    client.copy(&from, &to, &CopyOptions::default()).await.unwrap();
    let digest = layer(&content).digest.to_string();
    assert!(target.content().blobs[&digest] == content);
    let asked: Vec<_> =
        source.requests("GET", &digest).iter().map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(asked, [None, Some("bytes=150000-".to_owned())]);
}

#[tokio::test]
async fn a_source_that_gives_other_bytes_is_named_as_such() {
    let source =
        Fake::start(|r, _| r.is("GET", "/blobs/").then(|| Reply::new(200).body(vec![b'x'; 2]))).await;
    let target = Fake::start(|_, _| None).await;
    let client = builder().build();
    let (from, to) = (reference(source.address, "a:1"), reference(target.address, "b:1"));
    let bytes = crate::common::manifest(&Descriptor::of(media::OCI_CONFIG, b"{}"), &layer(b"ok"));
    source.content().manifests.insert("1".into(), crate::common::fake::manifest(&bytes));
    let error = client.copy(&from, &to, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    assert!(target.content().blobs.is_empty());
    assert!(target.content().manifests.is_empty());
}

#[tokio::test]
async fn entries_say_their_platform_in_any_order() {
    let Some(registry) = start(None) else { return };
    let client = Client::builder().build();
    let name = reference(&registry.host, "app:1");
    let index = multi(&client, &name).await;
    let mut entries = Vec::new();
    for entry in index.manifests.iter().rev() {
        let one = Reference { tag: None, digest: Some(entry.digest.clone()), ..name.clone() };
        entries.extend(client.index_entries(&one).await.unwrap());
    }
    assert_eq!(index_of(entries), index);
    assert_eq!(client.index_entries(&name).await.unwrap(), index.manifests);
}

#[tokio::test]
async fn r040_what_may_not_be_distributed_is_not_sent_but_still_named() {
    let (source, target) = (Fake::start(|_, _| None).await, Fake::start(|_, _| None).await);
    let config = Descriptor::of(media::OCI_CONFIG, b"{}");
    let mut foreign = Descriptor::of(media::OCI_LAYER_FOREIGN_TAR, &noise(300));
    foreign.urls = vec!["https://store.test/layer".into()];
    let bytes =
        serde_json::to_vec(&Manifest::new(config, vec![foreign.clone(), layer(&noise(200))])).unwrap();
    {
        let mut content = source.content();
        content.add(b"{}");
        content.add(&noise(200));
        content.manifests.insert("1".into(), crate::common::fake::manifest(&bytes));
    }
    let (from, to) = (reference(source.address, "a:1"), reference(target.address, "b:1"));
    let copied = builder().build().copy(&from, &to, &CopyOptions::default()).await.unwrap();
    assert_eq!(copied.blobs_sent, 2);
    assert_eq!(target.content().manifests["1"].1, bytes, "descriptor and addresses stay");
    for fake in [&source, &target] {
        assert!(fake.requests("", foreign.digest.as_str()).is_empty());
    }
}

#[tokio::test]
async fn r039_r076_a_blob_whose_mount_came_to_nothing_is_sent() {
    // Debian's registry says that it has mounted a blob of sha512, and does not find it then.
    let Some(registry) = start(None) else { return };
    let client = builder().build();
    let (from, to) = (reference(&registry.host, "a:1"), reference(&registry.host, "b:1"));
    let (config, blob) = (Descriptor::of(media::OCI_CONFIG, b"{}"), noise(50_000));
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(&blob);
    let top = Descriptor::new(media::OCI_LAYER_TAR, hasher.finish(), blob.len() as u64);
    let options = PushOptions::default();
    client.push_blob(&from, &config, &Bytes::from_static(b"{}"), &options).await.unwrap();
    client.push_blob(&from, &top, &Bytes::from(blob.clone()), &options).await.unwrap();
    let bytes = crate::common::manifest(&config, &top);
    client.push_manifest(&from, media::OCI_MANIFEST, bytes.clone()).await.unwrap();
    client.copy(&from, &to, &CopyOptions::default()).await.unwrap();
    assert_eq!(client.resolve(&to).await.unwrap().bytes, bytes);
    assert!(client.pull_bytes(&to, &top).await.unwrap() == blob);
}
