//! Against Debian's docker-registry.

use cooper_oci::{Algorithm, Descriptor, Digest, Hasher, media};
use cooper_registry_client::{
    Client, Credentials, Document, ErrorKind, FileSource, PushOptions, Pushed, Saved, Secret, login, logout,
};

use futures_util::StreamExt as _;

use crate::common::debian::start;
use crate::common::{layer, manifest, noise, reference};

#[tokio::test]
async fn r030_r061_r095_an_image_goes_up_and_comes_back() {
    let Some(registry) = start(None) else { return };
    let image = reference(&registry.host, "team/app:1");
    let client = Client::builder().build();
    let dir = tempfile::tempdir().unwrap();
    let (path, blob) = (dir.path().join("layer"), noise(3_000_000));
    std::fs::write(&path, &blob).unwrap();
    let source = FileSource(path);
    let (config, top) = (Descriptor::of(media::OCI_CONFIG, b"{}"), layer(&blob));
    let whole = PushOptions::default();
    assert!(!client.blob_exists(&image, &top.digest).await.unwrap());
    assert_eq!(client.push_blob(&image, &top, &source, &whole).await.unwrap(), Pushed::Uploaded);
    assert_eq!(client.push_blob(&image, &top, &source, &whole).await.unwrap(), Pushed::Existed);
    client.push_blob(&image, &config, &bytes::Bytes::from_static(b"{}"), &whole).await.unwrap();
    let bytes = manifest(&config, &top);
    let digest = client.push_manifest(&image, media::OCI_MANIFEST, bytes.clone()).await.unwrap();

    let resolved = client.resolve(&image).await.unwrap();
    assert_eq!((&resolved.descriptor.digest, resolved.bytes.as_ref()), (&digest, bytes.as_slice()));
    assert_eq!(client.head_manifest(&image).await.unwrap().unwrap(), resolved.descriptor);
    let Document::Manifest(parsed) = resolved.parse().unwrap() else { panic!("not a manifest") };
    let mut back = Vec::new();
    client.pull_blob(&image, &parsed.layers[0], &mut back).await.unwrap();
    assert!(back == blob);
    assert_eq!(client.list_tags(&image).await.unwrap(), ["1"]);

    assert_eq!(client.resolve(&image.with_tag("none")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(client.head_manifest(&image.with_tag("none")).await.unwrap().is_none());
    assert!(client.delete_manifest(&image.with_digest(digest.clone())).await.unwrap());
    assert!(!client.delete_manifest(&image.with_digest(digest)).await.unwrap());
}

#[tokio::test]
async fn r039_r064_r071_chunks_mounts_and_sha512() {
    let Some(registry) = start(None) else { return };
    let client = Client::builder().build();
    let (base, app) = (reference(&registry.host, "base:1"), reference(&registry.host, "app:1"));
    let blob = noise(1_000_000);
    let source = bytes::Bytes::from(blob.clone());
    let chunked = PushOptions { chunk_bytes: Some(300_000), ..PushOptions::default() };
    assert_eq!(client.push_blob(&base, &layer(&blob), &source, &chunked).await.unwrap(), Pushed::Uploaded);
    let mounting = PushOptions { mount_from: vec!["none".into(), "base".into()], ..PushOptions::default() };
    // The first mount is refused with a session, in which the blob is then sent.
    assert_eq!(client.push_blob(&app, &layer(&blob), &source, &mounting).await.unwrap(), Pushed::Uploaded);
    let other = reference(&registry.host, "other:1");
    assert!(client.mount_blob(&other, &layer(&blob).digest, "base").await.unwrap());
    assert!(!client.mount_blob(&other, &Digest::sha256_of(b"none"), "base").await.unwrap());
    assert!(client.pull_bytes(&other, &layer(&blob)).await.unwrap() == blob);

    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(&blob);
    let long = Descriptor::new(media::OCI_LAYER_TAR, hasher.finish(), blob.len() as u64);
    client.push_blob(&app, &long, &source, &PushOptions::default()).await.unwrap();
    assert!(client.pull_bytes(&app, &long).await.unwrap() == blob);
    let empty = layer(b"");
    client.push_blob(&app, &empty, &bytes::Bytes::new(), &chunked).await.unwrap();
    assert!(client.pull_bytes(&app, &empty).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_blob_goes_up_while_it_is_made() {
    let Some(registry) = start(None) else { return };
    let client = Client::builder().build();
    let image = reference(&registry.host, "team/app:1");
    let blob = noise(3_000_000);
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let parts = futures_util::stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    let (told, digest) = tokio::sync::oneshot::channel();
    let making = async {
        for part in blob.chunks(100_000) {
            sender.send(Ok(bytes::Bytes::copy_from_slice(part))).await.unwrap();
        }
        drop(sender);
        told.send(layer(&blob).digest).unwrap();
    };
    let (pushed, ()) =
        tokio::join!(client.push_unfinished(&image, parts, async { digest.await.ok() }), making);
    pushed.unwrap();
    assert!(client.pull_bytes(&image, &layer(&blob)).await.unwrap() == blob);

    let other = noise(1_000_000).split_off(1000);
    let parts = || futures_util::stream::iter([Ok(bytes::Bytes::from(other.clone()))]);
    // Made in vain, torn, and with a digest that is not its own.
    assert!(client.push_unfinished(&image, parts(), async { None }).await.is_err());
    let torn = parts().chain(futures_util::stream::iter([Err(std::io::Error::other("torn"))]));
    let wanted = async { Some(layer(&other).digest) };
    assert_eq!(client.push_unfinished(&image, torn, wanted).await.unwrap_err().kind(), ErrorKind::Local);
    let wrong = async { Some(Digest::sha256_of(b"wrong")) };
    assert!(client.push_unfinished(&image, parts(), wrong).await.is_err());
    assert!(!client.blob_exists(&image, &layer(&other).digest).await.unwrap());
}

#[tokio::test]
async fn login_is_checked_kept_and_forgotten() {
    let Some(registry) = start(Some(("ann", "hunter2"))) else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("docker/config.json");
    let host = registry.host.as_str();
    let wrong = login(Client::builder(), host, "ann", &Secret::new("nope"), Some(&file)).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Auth);
    assert!(!file.exists());
    let saved = login(Client::builder(), host, "ann", &Secret::new("hunter2"), Some(&file)).await.unwrap();
    assert_eq!(saved, Saved::File(file.clone()));

    let image = reference(host, "x:1");
    let stranger = Client::builder().build();
    assert_eq!(stranger.list_tags(&image).await.unwrap_err().kind(), ErrorKind::Auth);
    let client = Client::builder().credentials(Credentials::from_files([file.clone()])).build();
    let source = bytes::Bytes::from_static(b"x");
    client.push_blob(&image, &layer(b"x"), &source, &PushOptions::default()).await.unwrap();

    assert!(logout(host, Some(&file)).await.unwrap());
    assert!(!logout(host, Some(&file)).await.unwrap());
    let client = Client::builder().credentials(Credentials::from_files([file])).build();
    assert_eq!(client.list_tags(&image).await.unwrap_err().kind(), ErrorKind::Auth);
}
