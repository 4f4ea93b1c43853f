//! Image layouts (image-spec, image-layout.md) to read from: a directory, or an archive that is read where it lies. The
//! archives of `docker save` are read as if they were layouts with one image.

mod docker;
pub(crate) mod member;
mod members;
mod shelf;
mod spool;
mod window;

pub(crate) use docker::Image;
pub(crate) use members::{Members, inside};
pub use shelf::Pick;
pub(crate) use shelf::Shelf;
pub(crate) use window::Window;

use std::path::{Path, PathBuf};

use cooper_oci::Digest;

/// The annotation of an entry of `index.json` that holds its tag.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Containerd's, with the whole name.
pub(crate) const FULL_NAME: &str = "io.containerd.image.name";

/// The path of a blob within a layout.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// The file of a blob in a layout's directory.
pub(crate) fn directory_blob(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}
