//! Image references: `[registry/]repository[:tag][@digest]`, with Docker's short names.
//!
//! The rules are those of the distribution project: the first part is a host if it has a dot or a colon, is
//! `localhost`, or has an upper-case letter; otherwise the registry is `docker.io`, where a name without a
//! slash means `library/<name>`. Host and name together have at most 255 bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Digest, DigestError};

/// The registry that names without a host belong to.
pub const DEFAULT_REGISTRY: &str = "docker.io";
const MAX_NAME: usize = 255;

/// The name of an image, complete with its registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Host and port as users write it: `docker.io`, `localhost:5000`.
    pub registry: String,
    /// Path below the host: `library/busybox`.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest.
    pub digest: Option<Digest>,
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Nothing there.
    #[error("image reference is empty")]
    Empty,
    /// The host is malformed.
    #[error("invalid image reference `{0}`: malformed registry host")]
    Host(String),
    /// The repository has upper-case letters.
    #[error("invalid image reference `{0}`: repository name must be lower-case")]
    Uppercase(String),
    /// The repository is malformed.
    #[error("invalid image reference `{0}`: malformed repository name")]
    Repository(String),
    /// Only a digest's hex, which cannot be told from an image ID.
    #[error("invalid image reference `{0}`: a name may not be 64 hexadecimal digits")]
    HexName(String),
    /// Host and repository are too long.
    #[error("invalid image reference `{0}`: host and repository have more than 255 bytes")]
    TooLong(String),
    /// The tag is malformed.
    #[error("invalid image reference `{0}`: malformed tag")]
    Tag(String),
    /// The digest is malformed.
    #[error("invalid image reference `{text}`: {reason}")]
    Digest {
        /// The whole text.
        text: String,
        /// What is wrong with the digest.
        reason: DigestError,
    },
}

impl Reference {
    /// The tag; `latest` if there is neither tag nor digest; `None` if there is a digest only.
    pub fn tag_or_latest(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some("latest"),
            (None, Some(_)) => None,
        }
    }

    /// What to ask a registry for: the digest, or else the tag, or else `latest`.
    pub fn identifier(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    /// The same repository with this tag and no digest.
    pub fn with_tag(&self, tag: impl Into<String>) -> Self {
        Self { tag: Some(tag.into()), digest: None, ..self.clone() }
    }

    /// The same name (tag kept) with this digest.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// Registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The short form that people write: no `docker.io/`, no `library/`, and no `:latest`.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name();
        if let Some(tag) = self.tag.as_deref().filter(|tag| *tag != "latest" || self.digest.is_some()) {
            text = format!("{text}:{tag}");
        }
        if let Some(digest) = &self.digest {
            text = format!("{text}@{digest}");
        }
        text
    }

    /// The short form of the name alone; the whole name if the short one would be read as another, or not at all.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        let short = match self.repository.strip_prefix("library/") {
            Some(rest) if !rest.contains('/') => rest,
            _ => &self.repository,
        };
        if split_host(short) == (DEFAULT_REGISTRY, short) && !is_hex_name(short) {
            short.to_owned()
        } else {
            self.name()
        }
    }

    /// Whether this is a valid tag.
    pub fn is_tag(text: &str) -> bool {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        text.len() <= 128
            && text.bytes().enumerate().all(|(i, b)| word(b) || (i > 0 && matches!(b, b'.' | b'-')))
            && !text.is_empty()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|reason| ReferenceError::Digest { text: text.to_owned(), reason })?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let after_slash = rest.rfind('/').map_or(0, |i| i + 1);
        let (name, tag) = match rest[after_slash..].split_once(':') {
            Some((last, tag)) => (&rest[..after_slash + last.len()], Some(tag)),
            None => (rest, None),
        };
        if let Some(tag) = tag
            && !Self::is_tag(tag)
        {
            return Err(ReferenceError::Tag(text.to_owned()));
        }
        if is_hex_name(name) {
            return Err(ReferenceError::HexName(text.to_owned()));
        }
        let (registry, repository) = split_host(name);
        if !is_host(registry) {
            return Err(ReferenceError::Host(text.to_owned()));
        }
        if repository.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ReferenceError::Uppercase(text.to_owned()));
        }
        if !is_repository(repository) {
            return Err(ReferenceError::Repository(text.to_owned()));
        }
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        if registry.len() + 1 + repository.len() > MAX_NAME {
            return Err(ReferenceError::TooLong(text.to_owned()));
        }
        Ok(Self { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }
}

/// Whether a name could be an image ID.
fn is_hex_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Splits off the host, if there is one.
fn split_host(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_REGISTRY, name),
    }
}

/// A domain name or `[IPv6]`, with or without a port.
fn is_host(text: &str) -> bool {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let address_ok = !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
        match (address_ok, port) {
            (false, _) => return false,
            (true, "") => return true,
            (true, port) => match port.strip_prefix(':') {
                Some(port) => ("localhost", Some(port)),
                None => return false,
            },
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let label = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    host.split('.').all(label)
        && port.is_none_or(|port| port.parse::<u16>().is_ok() && !port.starts_with('+'))
}

/// `part(/part)*`, each part of lower-case words joined by `.`, `_`, `__` or dashes.
fn is_repository(text: &str) -> bool {
    text.split('/').all(is_component)
}

fn is_component(part: &str) -> bool {
    let word = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.first().is_some_and(word) || !bytes.last().is_some_and(word) {
        return false;
    }
    part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
