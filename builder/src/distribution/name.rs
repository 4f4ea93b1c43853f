//! Names of images that say where the image is.

use std::fmt;
use std::str::FromStr;

use cooper_frontend::graph::{ImageSource, NamedContext};
use cooper_oci::{Digest, Reference};

use crate::layout::Pick;

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
    /// `oci-archive:FILE[:TAG]` or `docker-archive:FILE[:NAME]`: in a tar archive.
    Archive(ArchiveName),
}

/// What an archive holds, besides images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveForm {
    /// An OCI image layout.
    Oci,
    /// What `docker save` writes and `docker load` reads.
    Docker,
}

/// An image in a tar archive. The names are those of containers-transports(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveName {
    /// The form of the archive.
    pub form: ArchiveForm,
    /// The file; `-` is standard input or output.
    pub path: String,
    /// Which of its images.
    pub pick: Pick,
}

impl ArchiveForm {
    fn prefix(self) -> &'static str {
        match self {
            ArchiveForm::Oci => "oci-archive:",
            ArchiveForm::Docker => "docker-archive:",
        }
    }
}

impl ArchiveName {
    /// Reads what follows the prefix: the path ends at the first colon.
    fn parse(form: ArchiveForm, text: &str) -> Result<ArchiveName, String> {
        let (rest, digest) =
            match text.rsplit_once('@').map(|(rest, digest)| (rest, digest.parse::<Digest>())) {
                Some((rest, Ok(digest))) => (rest, Some(digest)),
                _ => (text, None),
            };
        let (path, name) = match rest.split_once(':') {
            Some((path, name)) => (path, Some(name)),
            None => (rest, None),
        };
        if path.is_empty() || name == Some("") {
            return Err(format!(
                "{}{text} lacks a {}",
                form.prefix(),
                if path.is_empty() { "file" } else { "name" }
            ));
        }
        let pick = match (name.and_then(|n| n.strip_prefix('@')), digest) {
            (Some(number), _) => Pick::Number(
                number.parse().map_err(|_| format!("{number:?} is no place in a list, such as @0"))?,
            ),
            (None, Some(_)) if form == ArchiveForm::Docker => {
                return Err("a docker-archive knows images by name and tag only".to_owned());
            }
            (None, Some(digest)) => Pick::Digest(digest),
            (None, None) => Pick::Tag(name.map(str::to_owned)),
        };
        let archive = ArchiveName { form, path: path.to_owned(), pick };
        archive.reference().transpose().map_err(|e| e.to_string())?;
        Ok(archive)
    }

    /// The name of an image of Docker's.
    pub(super) fn reference(&self) -> Option<Result<Reference, cooper_oci::ReferenceError>> {
        match (&self.pick, self.form) {
            (Pick::Tag(Some(name)), ArchiveForm::Docker) => Some(name.parse()),
            _ => None,
        }
    }
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

    /// Whether an image that is copied there goes to standard output.
    pub fn is_stream(&self) -> bool {
        matches!(self, ImageName::Archive(ArchiveName { path, .. }) if path == "-")
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
        for form in [ArchiveForm::Oci, ArchiveForm::Docker] {
            if let Some(rest) = text.strip_prefix(form.prefix()) {
                return ArchiveName::parse(form, rest).map(ImageName::Archive);
            }
        }
        if let Some((kind, _)) = text.split_once("://") {
            return Err(format!(
                "unknown place {kind}://; an image is NAME (in a registry), store://NAME, oci-layout://DIR[:TAG], \
                 oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]"
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
            ImageName::Layout { path, tag, digest } => {
                let (path, tag, digest) = (path.clone(), tag.clone(), digest.clone());
                f.write_str(&crate::image_source::show(&ImageSource::OciLayout { path, tag, digest }))
            }
            ImageName::Archive(ArchiveName { form, path, pick }) => {
                write!(f, "{}{path}", form.prefix())?;
                match pick {
                    Pick::Tag(None) => Ok(()),
                    Pick::Tag(Some(tag)) => write!(f, ":{tag}"),
                    Pick::Digest(digest) => write!(f, "@{digest}"),
                    Pick::Number(number) => write!(f, ":@{number}"),
                }
            }
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
            ("oci-archive:a/b.tar", "oci-archive:a/b.tar"),
            ("oci-archive:b.tar:docker.io/library/app:1", "oci-archive:b.tar:docker.io/library/app:1"),
            ("docker-archive:-:localhost:5000/app:1", "docker-archive:-:localhost:5000/app:1"),
            ("docker-archive:x.tar:@3", "docker-archive:x.tar:@3"),
        ];
        for (text, want) in table {
            assert_eq!(text.parse::<ImageName>().unwrap().to_string(), want);
        }
        for text in ["", "docker://x", "store://", "store://UPPER", "oci-layout://", "a b"] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
        let digest = Digest::sha256_of(b"x");
        let by_digest: ImageName = format!("oci-archive:x.tar@{digest}").parse().unwrap();
        let (path, pick) = ("x.tar".to_owned(), Pick::Digest(digest.clone()));
        assert_eq!(by_digest, ImageName::Archive(ArchiveName { form: ArchiveForm::Oci, path, pick }));
        for text in
            ["oci-archive:", "oci-archive::1", "oci-archive:x:", "docker-archive:x:UPPER", "oci-archive:x:@a"]
        {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
        assert!(format!("docker-archive:x.tar:app@{digest}").parse::<ImageName>().is_err());
    }
}
