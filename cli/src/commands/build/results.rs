//! Files that tell what was built: `--iidfile` and `--metadata-file`.

use std::path::Path;

use cooper_builder::request::BuildOutcome;
use serde_json::{Map, Value};

use super::BuildArgs;
use crate::failure::Failure;
use crate::flags::pairs::Environment;
use crate::flags::units;
use crate::progress::{Warning, rawjson};

/// Removes what an earlier build left, so that a failing one leaves nothing stale.
pub fn clear(args: &BuildArgs) -> Result<(), Failure> {
    for path in [&args.iidfile, &args.metadata_file].into_iter().flatten() {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::io("cannot replace", path, &e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes both files.
pub fn write(
    args: &BuildArgs,
    outcome: &BuildOutcome,
    warnings: &[Warning],
    environment: Environment<'_>,
) -> Result<(), Failure> {
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(|e| Failure::io("cannot write", path, &e))
    };
    if let Some(path) = &args.iidfile {
        write(path, outcome.image_id().to_string())?;
    }
    if let Some(path) = &args.metadata_file {
        let mut object = metadata(outcome);
        let wanted = environment("BUILDX_METADATA_WARNINGS").is_some_and(|v| units::truth(&v) == Ok(true));
        if wanted && !warnings.is_empty() {
            let of = |w: &Warning| rawjson::warning(&w.rule, &w.message, w.span);
            object["buildx.build.warnings"] = warnings.iter().map(of).collect();
        }
        write(path, format!("{object:#}\n"))?;
    }
    Ok(())
}

/// The metadata object, with buildx's keys.
pub fn metadata(outcome: &BuildOutcome) -> Value {
    let mut object = Map::new();
    // An index has no config.
    if *outcome.image_id() == outcome.config_digest {
        object.insert("containerimage.config.digest".into(), outcome.config_digest.to_string().into());
    }
    if let Some(descriptor) = &outcome.descriptor {
        object.insert("containerimage.digest".into(), descriptor.digest.to_string().into());
        if let Ok(value) = serde_json::to_value(descriptor) {
            object.insert("containerimage.descriptor".into(), value);
        }
    }
    if !outcome.names.is_empty() {
        object.insert("image.name".into(), outcome.names.join(",").into());
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use cooper_oci::{Descriptor, Digest};

    use super::*;

    #[test]
    fn metadata_has_buildx_keys() {
        let descriptor: Descriptor = serde_json::from_value(serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::sha256_of(b"manifest").to_string(),
            "size": 8,
        }))
        .unwrap();
        let outcome = BuildOutcome {
            config_digest: Digest::sha256_of(b"config"),
            descriptor: Some(descriptor),
            names: vec!["docker.io/library/a:1".into(), "docker.io/library/b:1".into()],
        };
        let got = metadata(&outcome);
        let keys: Vec<_> = got.as_object().unwrap().keys().collect();
        let want = [
            "containerimage.config.digest",
            "containerimage.digest",
            "containerimage.descriptor",
            "image.name",
        ];
        assert_eq!(keys, want);
        assert_eq!(got["containerimage.descriptor"]["size"], 8);
        assert_eq!(got["containerimage.digest"], got["containerimage.descriptor"]["digest"]);
        assert_eq!(got["image.name"], "docker.io/library/a:1,docker.io/library/b:1");
    }

    #[test]
    fn an_index_has_no_config() {
        let descriptor: Descriptor = serde_json::from_value(serde_json::json!({
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": Digest::sha256_of(b"index").to_string(),
            "size": 5,
        }))
        .unwrap();
        let (config_digest, descriptor) = (Digest::sha256_of(b"config"), Some(descriptor));
        let outcome = BuildOutcome { config_digest, descriptor, names: Vec::new() };
        let keys: Vec<_> = metadata(&outcome).as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["containerimage.digest", "containerimage.descriptor"]);
        assert_eq!(*outcome.image_id(), Digest::sha256_of(b"index"));
    }

    #[test]
    fn without_an_image_there_is_only_the_config() {
        let outcome =
            BuildOutcome { config_digest: Digest::sha256_of(b"config"), descriptor: None, names: Vec::new() };
        assert_eq!(metadata(&outcome).as_object().unwrap().len(), 1);
    }
}
