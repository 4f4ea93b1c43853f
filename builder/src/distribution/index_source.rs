//! What an index is made of: images by name, by digest, or by a descriptor that says more of them than they say
//! themselves.

use std::collections::BTreeSet;
use std::str::FromStr;

use cooper_oci::{Descriptor, Digest, Reference, media};

use super::{Images, IndexRequest, refused};
use crate::error::{BuildError, Kind};

/// One source of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexSource {
    /// An image or an index; of an index, what it holds goes in.
    Name(Reference),
    /// The same by digest, in the one repository that the request names.
    Digest(Digest),
    /// The same, with what its entry is to say: platform, annotations, media type.
    Descriptor(Box<Descriptor>),
}

impl FromStr for IndexSource {
    type Err = String;

    /// Reads a name, a digest or a descriptor in JSON.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(digest) = text.parse() {
            return Ok(Self::Digest(digest));
        }
        if !text.starts_with('{') {
            return text.parse().map(Self::Name).map_err(|e| format!("{e}"));
        }
        let mut value: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if value.get("schemaVersion").is_some() {
            return Err("this is a manifest or an index; a descriptor is wanted".to_owned());
        }
        if value.get("size").is_none() {
            value["size"] = 0.into();
        }
        serde_json::from_value(value).map(|d| Self::Descriptor(Box::new(d))).map_err(|e| e.to_string())
    }
}

/// A source, and where it is.
pub(super) struct Located {
    pub(super) at: Reference,
    given: Option<Descriptor>,
}

impl Located {
    pub(super) fn named(at: &Reference) -> Located {
        Located { at: at.clone(), given: None }
    }

    /// Looks up what an index gets of it.
    pub(super) async fn entries(&self, images: &Images) -> Result<Vec<Descriptor>, BuildError> {
        let mut entries = images.client.index_entries(&self.at).await.map_err(refused)?;
        if let (Some(given), [entry]) = (&self.given, entries.as_mut_slice())
            && entry.digest == given.digest
        {
            say(entry, given)?;
        }
        Ok(entries)
    }
}

/// Lets an entry say what was given for it.
fn say(entry: &mut Descriptor, given: &Descriptor) -> Result<(), BuildError> {
    if given.size != 0 && given.size != entry.size {
        return Err(BuildError::user(format!(
            "{} has {} bytes, not the {} of its descriptor",
            entry.digest, entry.size, given.size
        )));
    }
    if !given.media_type.is_empty() {
        if media::is_index(&given.media_type) || !media::is_manifest(&given.media_type) {
            return Err(BuildError::user(format!("{} is no {}", entry.digest, given.media_type)));
        }
        entry.media_type.clone_from(&given.media_type);
    }
    // In place of what there is, so that something can be taken away.
    if !given.annotations.is_empty() {
        entry.annotations.clone_from(&given.annotations);
    }
    if let Some(platform) = &given.platform {
        let own = entry.platform.take().unwrap_or_default();
        let mut platform = platform.clone();
        if platform.os.is_empty() {
            platform.os = own.os;
        }
        if platform.architecture.is_empty() {
            (platform.architecture, platform.variant) = (own.architecture, platform.variant.or(own.variant));
        }
        entry.platform = Some(platform);
    }
    if given.artifact_type.is_some() {
        entry.artifact_type.clone_from(&given.artifact_type);
    }
    Ok(())
}

/// Where the sources of a request are. What has no name is in the one repository that the others name.
pub(super) fn located(request: &IndexRequest) -> Result<Vec<Located>, BuildError> {
    let named = request.sources.iter().filter_map(|source| match source {
        IndexSource::Name(name) => Some(name),
        _ => None,
    });
    let all: Vec<&Reference> = named.chain(&request.names).collect();
    let names: BTreeSet<String> = all.iter().map(|r| r.name()).collect();
    let below = |digest: &Digest| match (all.first(), names.len()) {
        (Some(name), 1) => Ok(Reference { tag: None, digest: Some(digest.clone()), ..(*name).clone() }),
        (Some(_), _) => Err(BuildError::user(format!("{digest}: it is not said in which repository"))
            .hint("name it in full, such as registry.example/app@sha256:…")),
        (None, _) => Err(BuildError::new(Kind::User, format!("{digest}: no repository is named"))),
    };
    let locate = |source: &IndexSource| match source {
        IndexSource::Name(name) => Ok(Located::named(name)),
        IndexSource::Digest(digest) => Ok(Located { at: below(digest)?, given: None }),
        IndexSource::Descriptor(given) => {
            Ok(Located { at: below(&given.digest)?, given: Some(given.as_ref().clone()) })
        }
    };
    request.sources.iter().map(locate).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sources_come_in_three_forms() {
        let digest = Digest::sha256_of(b"x");
        let name = |text: &str| IndexSource::Name(text.parse().unwrap());
        assert_eq!("a.test/x:1".parse(), Ok(name("a.test/x:1")));
        assert_eq!(format!(" {digest}\n").parse(), Ok(IndexSource::Digest(digest.clone())));
        let text = format!(r#"{{"digest":"{digest}","platform":{{"os":"linux","os.version":"1"}}}}"#);
        let IndexSource::Descriptor(given) = text.parse().unwrap() else { panic!() };
        assert_eq!((given.size, given.media_type.as_str()), (0, ""));
        for bad in ["", "{", "{}", "A B", r#"{"schemaVersion":2}"#, r#"{"digest":"sha256:0"}"#] {
            assert!(bad.parse::<IndexSource>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_given_replaces_what_was_found() {
        let mut entry = Descriptor::of(media::OCI_MANIFEST, b"x");
        entry.platform = Some("linux/arm64/v8".parse().unwrap());
        entry.annotations.insert("old".into(), "1".into());
        let text = format!(
            r#"{{"digest":"{}","annotations":{{"new":"2"}},"platform":{{"os.version":"10"}}}}"#,
            entry.digest
        );
        let IndexSource::Descriptor(given) = text.parse().unwrap() else { panic!() };
        say(&mut entry, &given).unwrap();
        assert_eq!(entry.annotations.keys().collect::<Vec<_>>(), ["new"]);
        let platform = entry.platform.clone().unwrap();
        assert_eq!((platform.os.as_str(), platform.architecture.as_str()), ("linux", "arm64"));
        assert_eq!(platform.os_version.as_deref(), Some("10"));
        let wrong = Descriptor::new(media::OCI_MANIFEST, entry.digest.clone(), 99);
        say(&mut entry, &wrong).unwrap_err();
        let wrong = Descriptor::new(media::OCI_INDEX, entry.digest.clone(), 0);
        say(&mut entry, &wrong).unwrap_err();
    }

    #[test]
    fn a_digest_is_in_the_one_repository_that_is_named() {
        let digest = Digest::sha256_of(b"x");
        let request = |names: &[&str], sources: &[&str]| IndexRequest {
            names: names.iter().map(|n| n.parse().unwrap()).collect(),
            sources: sources.iter().map(|s| s.parse().unwrap()).collect(),
            ..IndexRequest::default()
        };
        let sources = ["a.test/x:1", digest.as_str()];
        let all = located(&request(&["a.test/x:2"], &sources)).unwrap();
        assert_eq!(all[1].at.to_string(), format!("a.test/x@{digest}"));
        assert!(located(&request(&["b.test/x:2"], &sources)).is_err());
        assert!(located(&request(&[], &[digest.as_str()])).is_err());
        assert!(located(&request(&["b.test/x:2"], &[digest.as_str()])).is_ok());
    }
}
