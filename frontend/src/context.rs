//! Named build contexts: `--build-context NAME=VALUE`.
//!
//! Owns: the forms of VALUE, the normal form of NAME, and the look-up by name and platform. Opens nothing.

use std::collections::BTreeMap;

use cooper_oci::{Digest, DigestError, Platform, Reference, ReferenceError};

use crate::graph::NamedContext;
use crate::remote::{self, Remote};

/// Why a `--build-context` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// No `=`, or nothing before or behind it.
    #[error("invalid build context \"{0}\", expected NAME=VALUE")]
    Form(String),
    /// The name is no image name.
    #[error("invalid context name {name}: {source}")]
    Name {
        /// As written.
        name: String,
        /// What is wrong.
        source: ReferenceError,
    },
    /// `docker-image://` with a malformed reference.
    #[error("invalid image in build context: {0}")]
    Image(#[from] ReferenceError),
    /// `oci-layout://` with a malformed digest.
    #[error("could not parse oci-layout reference \"{text}\": {source}")]
    Digest {
        /// As written.
        text: String,
        /// What is wrong.
        source: DigestError,
    },
    /// A Git URL with settings that make no sense.
    #[error("invalid git context {url}: {message}")]
    Git {
        /// As written.
        url: String,
        /// What is wrong.
        message: String,
    },
    /// `oci-layout://` or `target:` with nothing behind it.
    #[error("build context \"{0}\" names nothing")]
    Empty(String),
}

impl NamedContext {
    /// Reads the value of a `--build-context`.
    pub fn parse(value: &str) -> Result<NamedContext, ContextError> {
        if let Some(image) = value.strip_prefix("docker-image://") {
            return match image {
                "scratch" => Ok(NamedContext::Scratch),
                image => Ok(NamedContext::Image(image.parse()?)),
            };
        }
        if let Some(layout) = value.strip_prefix("oci-layout://") {
            return parse_layout(layout);
        }
        if let Some(target) = value.strip_prefix("target:") {
            return match target {
                "" => Err(ContextError::Empty(value.to_owned())),
                target => Ok(NamedContext::Target(target.to_owned())),
            };
        }
        Ok(match remote::classify(value, false) {
            Some(Remote::Git) => {
                remote::git_query(value)
                    .map_err(|message| ContextError::Git { url: value.to_owned(), message })?;
                NamedContext::Git(value.to_owned())
            }
            Some(Remote::Http) => NamedContext::Http(value.to_owned()),
            None => NamedContext::Local(value.to_owned()),
        })
    }
}

/// Reads `NAME=VALUE` into the normal name and the context.
pub fn parse_flag(flag: &str) -> Result<(String, NamedContext), ContextError> {
    match flag.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((normalize_name(name)?, NamedContext::parse(value)?))
        }
        _ => Err(ContextError::Form(flag.to_owned())),
    }
}

/// The normal form of a context's name: that of an image in short form, without `:latest`. A `::platform` behind it
/// is kept.
pub fn normalize_name(name: &str) -> Result<String, ContextError> {
    let (image, platform) = match name.split_once("::") {
        Some((image, platform)) => (image, Some(platform)),
        None => (name, None),
    };
    let reference: Reference =
        image.parse().map_err(|source| ContextError::Name { name: name.to_owned(), source })?;
    let familiar = reference.familiar();
    let platform =
        platform.map(|text| Platform::parse(text).map_or_else(|_| text.to_owned(), |p| p.to_string()));
    Ok(match platform {
        Some(platform) => format!("{familiar}::{platform}"),
        None => familiar,
    })
}

/// Finds the context that takes the place of the stage or image `name` for `platform`: one for just this platform
/// before one for all. `scratch` and `context` are never replaced.
pub(crate) fn lookup<'c>(
    contexts: &'c BTreeMap<String, NamedContext>,
    name: &str,
    platform: &Platform,
) -> Option<(&'c str, &'c NamedContext)> {
    if contexts.is_empty() || name.eq_ignore_ascii_case("scratch") || name.eq_ignore_ascii_case("context") {
        return None;
    }
    let name = normalize_name(name).ok()?;
    contexts
        .get_key_value(&format!("{name}::{}", platform.normalized()))
        .or_else(|| contexts.get_key_value(&name))
        .map(|(key, context)| (key.as_str(), context))
}

fn parse_layout(text: &str) -> Result<NamedContext, ContextError> {
    let (rest, digest) = match text.rsplit_once('@') {
        Some((rest, digest)) => {
            let parsed: Digest =
                digest.parse().map_err(|source| ContextError::Digest { text: text.to_owned(), source })?;
            (rest, Some(parsed))
        }
        None => (text, None),
    };
    let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match rest[name_start..].split_once(':') {
        Some((last, tag)) => (&rest[..name_start + last.len()], Some(tag.to_owned())),
        None => (rest, None),
    };
    if path.is_empty() {
        return Err(ContextError::Empty(format!("oci-layout://{text}")));
    }
    Ok(NamedContext::OciLayout { path: path.to_owned(), tag, digest })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_are_told_apart() {
        let image = |text: &str| NamedContext::Image(text.parse().unwrap());
        for (value, want) in [
            ("../dir", NamedContext::Local("../dir".into())),
            ("docker-image://scratch", NamedContext::Scratch),
            ("docker-image://alpine:3", image("alpine:3")),
            ("https://example.invalid/x.tar", NamedContext::Http("https://example.invalid/x.tar".into())),
            (
                "https://example.invalid/x.git#main",
                NamedContext::Git("https://example.invalid/x.git#main".into()),
            ),
            ("git@example.invalid:a/b", NamedContext::Git("git@example.invalid:a/b".into())),
            ("target:base", NamedContext::Target("base".into())),
        ] {
            assert_eq!(NamedContext::parse(value).unwrap(), want, "{value}");
        }
        assert!(matches!(NamedContext::parse("git://h/x?nope=1"), Err(ContextError::Git { .. })));
        let hex = "a".repeat(64);
        assert_eq!(
            NamedContext::parse(&format!("oci-layout:///a/b:1.2@sha256:{hex}")).unwrap(),
            NamedContext::OciLayout {
                path: "/a/b".into(),
                tag: Some("1.2".into()),
                digest: Some(format!("sha256:{hex}").parse().unwrap()),
            }
        );
        assert_eq!(
            NamedContext::parse("oci-layout://./layout").unwrap(),
            NamedContext::OciLayout { path: "./layout".into(), tag: None, digest: None }
        );
    }

    #[test]
    fn names_have_one_form() {
        for (name, want) in [
            ("busybox:latest", "busybox"),
            ("docker.io/library/busybox", "busybox"),
            ("alpine:3", "alpine:3"),
            ("example.invalid/a/b", "example.invalid/a/b"),
            ("x::linux/aarch64", "x::linux/arm64"),
        ] {
            assert_eq!(normalize_name(name).unwrap(), want);
        }
        assert!(normalize_name("Not An Image").is_err());
    }

    #[test]
    fn a_platform_of_its_own_goes_first() {
        let contexts: BTreeMap<_, _> =
            [("a", NamedContext::Scratch), ("a::linux/arm64", NamedContext::Local("arm".into()))]
                .map(|(name, context)| (name.to_owned(), context))
                .into();
        let find =
            |name, arch| lookup(&contexts, name, &Platform::new("linux", arch, None)).map(|(key, _)| key);
        assert_eq!(find("docker.io/library/a:latest", "arm64"), Some("a::linux/arm64"));
        assert_eq!(find("a", "amd64"), Some("a"));
        assert_eq!(find("a:1", "amd64"), None);
    }
}
