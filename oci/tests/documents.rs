//! JSON documents: written back as they were read, null-tolerant, and readable by another implementation.
#![allow(clippy::unwrap_used)]

use cooper_oci::{
    ContainerConfig, Descriptor, Digest, Healthcheck, History, ImageConfig, Index, Manifest, Platform,
    RootFs, json, media,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn round_trip<T: DeserializeOwned + Serialize>(text: &str) -> String {
    let document: T = serde_json::from_str(text).unwrap();
    String::from_utf8(json::to_vec(&document).unwrap()).unwrap()
}

/// As Docker's classic builder wrote them: Go's order of fields, nulls, fields of its own.
const DOCKER_CONFIG: &str = concat!(
    r#"{"architecture":"amd64","config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"#,
    r#""ExposedPorts":{"80/tcp":{}},"Tty":false,"Env":["PATH=/bin"],"Cmd":["sh","-c","a \u0026\u0026 b"],"#,
    r#""ArgsEscaped":true,"Image":"sha256:0","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"#,
    r#""Labels":{"z":"1","a":"2"}},"container":"c0ffee","container_config":{"Hostname":"c0ffee","Cmd":null},"#,
    r#""created":"2024-01-01T00:00:00.5Z","docker_version":"20.10","history":[{"created":"2024-01-01T00:00:00Z","#,
    r#""created_by":"/bin/sh -c #(nop) ADD","x":[1.5,{"b":1,"a":2}]},{"empty_layer":true}],"id":17,"#,
    r#""os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"#,
    r#"aaaaaaaaaaaaaaaaaaa"]},"throwaway":true}"#
);

#[test]
fn a_config_with_unknown_fields_is_written_back_byte_for_byte() {
    // Labels are a map: Go sorts them, and so do we.
    let sorted = DOCKER_CONFIG.replace(r#"{"z":"1","a":"2"}"#, r#"{"a":"2","z":"1"}"#);
    assert_eq!(round_trip::<ImageConfig>(&sorted), sorted);
}

#[test]
fn a_minimal_config_stays_minimal_and_the_order_of_others_is_kept() {
    for text in [
        r#"{"rootfs":{"diff_ids":[],"type":"layers"},"os":"linux","architecture":"arm","config":{},"variant":"v7"}"#,
        r#"{"os":"linux","config":{"StopSignal":"SIGTERM","User":"u","Shell":["sh"]},"architecture":"a","created":null,"rootfs":{"type":"layers","diff_ids":null}}"#,
    ] {
        assert_eq!(round_trip::<ImageConfig>(text), text);
    }
}

#[test]
fn manifests_and_indexes_are_written_back_byte_for_byte() {
    let manifest = format!(
        r#"{{"config":{{"digest":"{A}","size":2,"mediaType":"m","x":null}},"layers":[{{"mediaType":"l","size":0,"digest":"{A}","urls":null,"annotations":{{"k":"<v>"}}}}],"schemaVersion":2,"zzz":{{}}}}"#
    )
    .replace('<', "\\u003c")
    .replace('>', "\\u003e");
    assert_eq!(round_trip::<Manifest>(&manifest), manifest);
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"i","manifests":[{{"mediaType":"m","digest":"{A}","size":3,"platform":{{"architecture":"arm","os":"linux","variant":"v7"}},"artifactType":"t"}}],"annotations":null}}"#
    );
    assert_eq!(round_trip::<Index>(&index), index);
}

#[test]
fn null_reads_as_empty() {
    let config: ContainerConfig = serde_json::from_str(
        r#"{"User":null,"ExposedPorts":null,"Env":null,"Entrypoint":null,"Cmd":null,"Volumes":null,"WorkingDir":null,
            "Labels":null,"StopSignal":null,"ArgsEscaped":null,"OnBuild":null,"Healthcheck":null,"Shell":null}"#,
    )
    .unwrap();
    assert_eq!(config, ContainerConfig::default());
    let config: ImageConfig = serde_json::from_str(
        r#"{"architecture":null,"os":null,"config":null,"rootfs":null,"history":null,"os.features":null}"#,
    )
    .unwrap();
    assert_eq!(config, ImageConfig::default());
    let health: Healthcheck = serde_json::from_str(r#"{"Test":null,"Interval":null}"#).unwrap();
    assert_eq!(health, Healthcheck::default());
}

#[test]
fn changes_replace_what_was_read_in_place() {
    let mut config: ImageConfig =
        serde_json::from_str(r#"{"os":"linux","x":1,"config":{"Cmd":["a"],"Volumes":null,"Env":["B=1"]},"architecture":"a","rootfs":{"type":"layers","diff_ids":[]}}"#)
            .unwrap();
    config.config.cmd = None;
    config.config.volumes.insert("/v".to_owned(), cooper_oci::Empty {});
    config.config.working_dir = "/w".to_owned();
    config.other.remove("x");
    assert_eq!(
        json::to_vec(&config).map(String::from_utf8).unwrap().unwrap(),
        r#"{"os":"linux","config":{"Volumes":{"/v":{}},"WorkingDir":"/w","Env":["B=1"]},"architecture":"a","rootfs":{"type":"layers","diff_ids":[]}}"#
    );
}

#[test]
fn wrong_types_and_sizes_are_errors() {
    for size in ["-1", "1.5", "\"12\"", "null", "1e400", "18446744073709551616"] {
        let text = format!(r#"{{"mediaType":"m","digest":"{A}","size":{size}}}"#);
        assert!(serde_json::from_str::<Descriptor>(&text).is_err(), "{size}");
    }
    assert!(
        serde_json::from_str::<Descriptor>(r#"{"mediaType":"m","digest":"sha256:../x","size":1}"#).is_err()
    );
    assert!(serde_json::from_str::<Descriptor>(r#"{"mediaType":"m","size":1}"#).is_err());
    assert!(serde_json::from_str::<Manifest>("[]").is_err());
    assert!(serde_json::from_str::<ImageConfig>(&"{\"a\":".repeat(10_000)).is_err());
}

fn full_config() -> ImageConfig {
    ImageConfig {
        architecture: "arm64".to_owned(),
        os: "linux".to_owned(),
        created: Some("2024-01-01T00:00:00Z".to_owned()),
        author: Some("me".to_owned()),
        config: ContainerConfig {
            user: "1:2".to_owned(),
            exposed_ports: [("80/tcp".to_owned(), cooper_oci::Empty {})].into(),
            env: vec!["A=b".to_owned()],
            entrypoint: Some(vec!["/e".to_owned()]),
            cmd: Some(vec!["c".to_owned()]),
            volumes: [("/v".to_owned(), cooper_oci::Empty {})].into(),
            working_dir: "/w".to_owned(),
            labels: [("l".to_owned(), "m".to_owned())].into(),
            stop_signal: Some("SIGKILL".to_owned()),
            on_build: vec!["RUN x".to_owned()],
            healthcheck: Some(Healthcheck {
                test: vec!["CMD".to_owned(), "true".to_owned()],
                interval: 1_000_000_000,
                retries: 3,
                ..Healthcheck::default()
            }),
            shell: Some(vec!["/bin/bash".to_owned(), "-c".to_owned()]),
            ..ContainerConfig::default()
        },
        rootfs: RootFs::new(vec![A.parse().unwrap()]),
        history: vec![
            History { created_by: Some("COPY".to_owned()), ..History::default() },
            History { empty_layer: true, ..History::default() },
        ],
        ..ImageConfig::default()
    }
}

#[test]
fn oci_spec_reads_our_config() {
    let bytes = json::to_vec(&full_config()).unwrap();
    let theirs = oci_spec::image::ImageConfiguration::from_reader(bytes.as_slice()).unwrap();
    assert_eq!(theirs.architecture().to_string(), "arm64");
    assert_eq!(theirs.rootfs().diff_ids(), &[A.to_owned()]);
    assert_eq!(theirs.history().as_ref().map(Vec::len), Some(2));
    let config = theirs.config().as_ref().unwrap();
    assert_eq!(config.user().as_deref(), Some("1:2"));
    assert_eq!(config.env().as_deref(), Some(["A=b".to_owned()].as_slice()));
    assert_eq!(config.entrypoint().as_deref(), Some(["/e".to_owned()].as_slice()));
    assert_eq!(config.working_dir().as_deref(), Some("/w"));
    assert_eq!(config.stop_signal().as_deref(), Some("SIGKILL"));
    // And we read all of it back, what oci-spec drops included.
    assert_eq!(serde_json::from_slice::<ImageConfig>(&bytes).unwrap(), full_config());
}

#[test]
fn oci_spec_reads_our_manifest_and_index() {
    let mut layer = Descriptor::new(media::OCI_LAYER_GZIP, A.parse().unwrap(), 7);
    layer.annotations.insert("k".to_owned(), "v".to_owned());
    let manifest = Manifest::new(Descriptor::of(media::OCI_CONFIG, b"{}"), vec![layer]);
    let bytes = json::to_vec(&manifest).unwrap();
    let theirs = oci_spec::image::ImageManifest::from_reader(bytes.as_slice()).unwrap();
    assert_eq!(theirs.layers()[0].size(), 7);
    assert_eq!(theirs.config().digest().to_string(), Digest::sha256_of(b"{}").to_string());

    let mut descriptor = Descriptor::of(media::OCI_MANIFEST, &bytes);
    descriptor.platform = Some("linux/arm/v7".parse().unwrap());
    let index = json::to_vec(&Index::new(vec![descriptor])).unwrap();
    let theirs = oci_spec::image::ImageIndex::from_reader(index.as_slice()).unwrap();
    let platform = theirs.manifests()[0].platform().clone().unwrap();
    assert_eq!(platform.variant().as_deref(), Some("v7"));
}

#[test]
fn an_index_gives_the_best_platform_and_never_an_attestation() {
    let entry = |platform: &str, size| {
        let mut descriptor = Descriptor::new(media::OCI_MANIFEST, A.parse().unwrap(), size);
        descriptor.platform = Some(if platform == "unknown/unknown" {
            Platform { os: "unknown".to_owned(), architecture: "unknown".to_owned(), ..Platform::default() }
        } else {
            platform.parse().unwrap()
        });
        descriptor
    };
    let index = Index::new(vec![
        entry("unknown/unknown", 0),
        entry("linux/arm/v5", 5),
        entry("linux/arm/v7", 7),
        entry("linux/arm/v6", 6),
        entry("linux/amd64", 1),
        entry("linux/amd64", 2),
    ]);
    let select = |text: &str| index.select(&text.parse().unwrap()).map(|found| found.size);
    assert_eq!(select("linux/arm/v7"), Some(7));
    assert_eq!(select("linux/arm/v6"), Some(6));
    assert_eq!(select("linux/amd64"), Some(1));
    assert_eq!(select("linux/amd64/v3"), Some(1));
    assert_eq!(select("linux/s390x"), None);
}
