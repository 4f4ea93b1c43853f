//! Names of images that say where the image is.

use std::fmt;
use std::str::FromStr;

use cooper_frontend::graph::{ImageSource, NamedContext};
use cooper_oci::{Digest, Reference};

/// An image and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageName {
    /// `registry.example/app:1`: in a registry.
    Registry(Reference),
    /// `store://app:1`: in Cooper's store.
    Store(Reference),
    /// `oci-layout://DIR[:TAG][@DIGEST]`: in a directory with an OCI image layout.
    Layout {
        /// The directory.
        path: String,
        /// The tag.
        tag: Option<String>,
        /// The digest.
        digest: Option<Digest>,
    },
}

impl ImageName {
    /// The reference, if the image is in a registry.
    pub fn registry(&self) -> Option<&Reference> {
        match self {
            ImageName::Registry(reference) => Some(reference),
            _ => None,
        }
    }

    /// Whether the store must be open to find it.
    pub fn needs_store(&self) -> bool {
        matches!(self, ImageName::Store(_))
    }

    pub(super) fn source(&self) -> ImageSource {
        match self {
            ImageName::Registry(reference) | ImageName::Store(reference) => {
                ImageSource::Registry(reference.clone())
            }
            ImageName::Layout { path, tag, digest } => {
                ImageSource::OciLayout { path: path.clone(), tag: tag.clone(), digest: digest.clone() }
            }
        }
    }
}

impl FromStr for ImageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("store://") {
            return Ok(ImageName::Store(name.parse().map_err(|e| format!("{e}"))?));
        }
        if text.starts_with("oci-layout://") {
            return match NamedContext::parse(text) {
                Ok(NamedContext::OciLayout { path, tag, digest }) => {
                    Ok(ImageName::Layout { path, tag, digest })
                }
                Ok(_) => Err(format!("{text:?} is not an OCI layout")),
                Err(e) => Err(e.to_string()),
            };
        }
        if let Some((kind, _)) = text.split_once("://") {
            return Err(format!(
                "unknown place {kind}://; an image is NAME (in a registry), store://NAME or oci-layout://DIR[:TAG]"
            ));
        }
        Ok(ImageName::Registry(text.parse().map_err(|e| format!("{e}"))?))
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageName::Registry(reference) => write!(f, "{reference}"),
            ImageName::Store(reference) => write!(f, "store://{reference}"),
            ImageName::Layout { .. } => f.write_str(&crate::image_source::show(&self.source())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_says_where_the_image_is() {
        let table = [
            ("busybox", "docker.io/library/busybox"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
            ("store://app:1", "store://docker.io/library/app:1"),
            ("oci-layout://dir:1", "oci-layout://dir:1"),
            ("oci-layout:///a/b", "oci-layout:///a/b"),
        ];
        for (text, want) in table {
            assert_eq!(text.parse::<ImageName>().unwrap().to_string(), want);
        }
        for text in ["", "docker://x", "store://", "store://UPPER", "oci-layout://", "a b"] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
    }
}
