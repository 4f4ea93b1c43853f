#![allow(clippy::unwrap_used)]

use super::*;
use crate::manifest::Document;

fn checked(content_type: Option<&str>, body: &str) -> Result<ResolvedManifest> {
    let mut headers = HeaderMap::new();
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
    }
    check(&Target::default(), &headers, Bytes::from(body.to_owned()), None, 3)
}

fn manifest(extra: &str) -> String {
    format!(r#"{{"schemaVersion":2{extra},"config":{{}},"layers":[]}}"#)
}

#[test]
fn r033_kinds_must_agree() {
    let typed = manifest(&format!(r#","mediaType":"{}""#, media::OCI_MANIFEST));
    let untyped = manifest("");
    let index = r#"{"schemaVersion":2,"manifests":[]}"#;
    let good = [
        (Some(media::OCI_MANIFEST), typed.as_str(), media::OCI_MANIFEST),
        (Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"), &untyped, media::OCI_MANIFEST),
        (Some("text/plain; charset=utf-8"), &typed, media::OCI_MANIFEST),
        (Some("application/json"), &typed, media::OCI_MANIFEST),
        (Some(media::OCI_INDEX), index, media::OCI_INDEX),
        (Some(media::DOCKER_LIST), index, media::DOCKER_LIST),
    ];
    for (content_type, body, want) in good {
        assert_eq!(checked(content_type, body).unwrap().descriptor.media_type, want, "{content_type:?}");
    }
    let both = r#"{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}"#;
    let bad = [
        (Some(media::OCI_INDEX), typed.as_str()),
        (Some(media::DOCKER_MANIFEST), &typed),
        (Some(media::OCI_INDEX), &untyped),
        (Some(media::OCI_MANIFEST), index),
        (Some(media::OCI_MANIFEST), both),
        (Some(media::OCI_INDEX), both),
        (None, &untyped),
        (None, &typed),
        (Some("text/html"), &typed),
        (Some("application/json"), &untyped),
        (Some(media::OCI_MANIFEST), "<html>"),
        (Some(media::OCI_MANIFEST), "{}"),
        (Some(media::OCI_INDEX), r#"{"manifests":[1,2,3,4]}"#),
    ];
    for (content_type, body) in bad {
        assert!(checked(content_type, body).is_err(), "{content_type:?} {body}");
    }
}

#[test]
fn r041_schema_1_gets_a_hint() {
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let error = checked(Some(old), r#"{"schemaVersion":1,"fsLayers":[]}"#).unwrap_err();
    assert!(error.to_string().contains("schema 1"));
}

#[test]
fn parsing_follows_the_media_type() {
    let digest = Digest::sha256_of(b"x");
    let config = format!(r#"{{"mediaType":"{}","digest":"{digest}","size":1}}"#, media::OCI_CONFIG);
    let body = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
    let resolved = checked(Some(media::OCI_MANIFEST), &body).unwrap();
    assert!(matches!(resolved.parse().unwrap(), Document::Manifest(m) if m.config.digest == digest));
    let index = checked(Some(media::OCI_INDEX), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    assert!(matches!(index.parse().unwrap(), Document::Index(_)));
    assert!(checked(Some(media::OCI_MANIFEST), &manifest("")).unwrap().parse().is_err());
}
