//! With oci-client, the other client that there is in Rust: each reads what the other pushed.

use bytes::Bytes;
use cooper_oci::{Descriptor, Manifest, media};
use cooper_registry_client::{Client, Document, PushOptions};
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;

use crate::common::debian::start;
use crate::common::{layer, manifest, noise, reference};

const CONFIG: &[u8] = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;

fn other() -> oci_client::Client {
    // Both clients use one TLS library; this says which of its engines.
    let _ = rustls::crypto::ring::default_provider().install_default();
    oci_client::Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() })
}

#[tokio::test]
async fn oci_client_reads_what_we_push() {
    let Some(registry) = start(None) else { return };
    let (client, other) = (Client::builder().build(), other());
    let image = reference(&registry.host, "team/app:1");
    let blob = noise(2_000_000);
    let (config, top) = (Descriptor::of(media::OCI_CONFIG, CONFIG), layer(&blob));
    // In one piece and in several.
    for (tag, chunk_bytes) in [("1", None), ("2", Some(300_000))] {
        let image = image.with_tag(tag);
        let options = PushOptions { chunk_bytes, ..PushOptions::default() };
        client.push_blob(&image, &top, &Bytes::from(blob.clone()), &options).await.unwrap();
        client.push_blob(&image, &config, &Bytes::from_static(CONFIG), &options).await.unwrap();
        let digest =
            client.push_manifest(&image, media::OCI_MANIFEST, manifest(&config, &top)).await.unwrap();
        let theirs: oci_client::Reference = image.to_string().parse().unwrap();
        let pulled = other.pull(&theirs, &RegistryAuth::Anonymous, vec![media::OCI_LAYER_TAR]).await.unwrap();
        assert_eq!(pulled.digest.as_deref(), Some(digest.as_str()));
        assert!(pulled.layers[0].data == blob);
        assert_eq!(pulled.config.data, CONFIG);
    }
    // What refers to it is found by them, too, where the registry has no list of its own.
    let subject = client.resolve(&image).await.unwrap().descriptor;
    let empty = Descriptor::of(media::OCI_EMPTY, b"{}");
    client.push_blob(&image, &empty, &Bytes::from_static(b"{}"), &PushOptions::default()).await.unwrap();
    let mut about = Manifest::new(empty.clone(), vec![empty]);
    (about.artifact_type, about.subject) = (Some("application/x-sig".into()), Some(subject.clone()));
    let about = serde_json::to_vec(&about).unwrap();
    let place = image.with_digest(cooper_oci::Digest::sha256_of(&about));
    let place = cooper_oci::Reference { tag: None, ..place };
    let digest = client.push_manifest(&place, media::OCI_MANIFEST, about).await.unwrap();
    let theirs: oci_client::Reference = format!("{}@{}", image.name(), subject.digest).parse().unwrap();
    let found = other.pull_referrers(&theirs, Some("application/x-sig")).await.unwrap();
    assert_eq!(found.manifests.len(), 1);
    assert_eq!(found.manifests[0].digest, digest.as_str());
}

#[tokio::test]
async fn we_read_what_oci_client_pushes() {
    let Some(registry) = start(None) else { return };
    let (client, other) = (Client::builder().build(), other());
    let image = reference(&registry.host, "team/app:1");
    let blob = noise(2_000_000);
    let layers = [ImageLayer::oci_v1(blob.clone(), None)];
    let theirs: oci_client::Reference = image.to_string().parse().unwrap();
    let config = Config::oci_v1(CONFIG, None);
    other.push(&theirs, &layers, config, &RegistryAuth::Anonymous, None).await.unwrap();
    let resolved = client.resolve(&image).await.unwrap();
    let digest = other.fetch_manifest_digest(&theirs, &RegistryAuth::Anonymous).await.unwrap();
    assert_eq!(resolved.descriptor.digest.as_str(), digest);
    let Document::Manifest(manifest) = resolved.parse().unwrap() else { panic!("not a manifest") };
    assert_eq!(client.pull_bytes(&image, &manifest.config).await.unwrap(), CONFIG);
    let mut back = Vec::new();
    client.pull_blob(&image, &manifest.layers[0], &mut back).await.unwrap();
    assert!(back == blob);
    assert_eq!(client.list_tags(&image).await.unwrap(), ["1"]);
}
