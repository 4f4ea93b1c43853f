//! Media types of OCI and Docker, and what they say about a blob.

use crate::compress::Compression;

/// An OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// An uncompressed OCI layer.
pub const OCI_LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
/// A gzip-compressed OCI layer.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A zstd-compressed OCI layer.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The empty JSON object as content, used where a descriptor is demanded but nothing is to be said.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// An uncompressed OCI layer that must be fetched from its `urls`.
pub const OCI_LAYER_FOREIGN_TAR: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
/// A gzip-compressed OCI layer that must be fetched from its `urls`.
pub const OCI_LAYER_FOREIGN_GZIP: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
/// A zstd-compressed OCI layer that must be fetched from its `urls`.
pub const OCI_LAYER_FOREIGN_ZSTD: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";
/// A Docker schema 2 manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// A Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A gzip-compressed Docker layer.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// An uncompressed Docker layer.
pub const DOCKER_LAYER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// A zstd-compressed Docker layer, as some tools write it.
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
/// A gzip-compressed Docker layer that must be fetched from its `urls`.
pub const DOCKER_LAYER_FOREIGN_GZIP: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
/// An uncompressed Docker layer that must be fetched from its `urls`.
pub const DOCKER_LAYER_FOREIGN_TAR: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
/// An in-toto statement, the layer of an attestation manifest.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// How a layer of this media type is compressed; `None` if it is no layer that we know.
pub fn compression_of(media_type: &str) -> Option<Compression> {
    match media_type {
        OCI_LAYER_TAR | OCI_LAYER_FOREIGN_TAR | DOCKER_LAYER_TAR | DOCKER_LAYER_FOREIGN_TAR => {
            Some(Compression::None)
        }
        OCI_LAYER_GZIP | OCI_LAYER_FOREIGN_GZIP | DOCKER_LAYER_GZIP | DOCKER_LAYER_FOREIGN_GZIP => {
            Some(Compression::Gzip)
        }
        OCI_LAYER_ZSTD | OCI_LAYER_FOREIGN_ZSTD | DOCKER_LAYER_ZSTD => Some(Compression::Zstd),
        _ => None,
    }
}

/// The OCI media type of a layer with this compression.
pub fn oci_layer(compression: Compression) -> &'static str {
    match compression {
        Compression::None => OCI_LAYER_TAR,
        Compression::Gzip => OCI_LAYER_GZIP,
        Compression::Zstd => OCI_LAYER_ZSTD,
    }
}

/// Docker's name for an OCI media type; what has none, and what is Docker's already, is handed back as it is.
pub fn to_docker(media_type: &str) -> &str {
    match media_type {
        OCI_MANIFEST => DOCKER_MANIFEST,
        OCI_INDEX => DOCKER_LIST,
        OCI_CONFIG => DOCKER_CONFIG,
        OCI_LAYER_TAR => DOCKER_LAYER_TAR,
        OCI_LAYER_GZIP => DOCKER_LAYER_GZIP,
        OCI_LAYER_ZSTD => DOCKER_LAYER_ZSTD,
        OCI_LAYER_FOREIGN_TAR => DOCKER_LAYER_FOREIGN_TAR,
        OCI_LAYER_FOREIGN_GZIP => DOCKER_LAYER_FOREIGN_GZIP,
        other => other,
    }
}

/// The OCI name for a Docker media type; what has none, and what is OCI already, is handed back as it is.
pub fn to_oci(media_type: &str) -> &str {
    match media_type {
        DOCKER_MANIFEST => OCI_MANIFEST,
        DOCKER_LIST => OCI_INDEX,
        DOCKER_CONFIG => OCI_CONFIG,
        DOCKER_LAYER_TAR => OCI_LAYER_TAR,
        DOCKER_LAYER_GZIP => OCI_LAYER_GZIP,
        DOCKER_LAYER_ZSTD => OCI_LAYER_ZSTD,
        DOCKER_LAYER_FOREIGN_TAR => OCI_LAYER_FOREIGN_TAR,
        DOCKER_LAYER_FOREIGN_GZIP => OCI_LAYER_FOREIGN_GZIP,
        other => other,
    }
}

/// Whether this names an index (or manifest list).
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

/// Whether this names an image manifest.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Whether this names an image config.
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, OCI_CONFIG | DOCKER_CONFIG)
}

/// Whether a layer of this type need not be pushed, because it is fetched from its `urls`.
pub fn is_foreign(media_type: &str) -> bool {
    matches!(
        media_type,
        OCI_LAYER_FOREIGN_TAR
            | OCI_LAYER_FOREIGN_GZIP
            | OCI_LAYER_FOREIGN_ZSTD
            | DOCKER_LAYER_FOREIGN_GZIP
            | DOCKER_LAYER_FOREIGN_TAR
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_and_oci_names_are_inverse() {
        for media_type in
            [OCI_MANIFEST, OCI_INDEX, OCI_CONFIG, OCI_LAYER_TAR, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, "text/plain"]
        {
            assert_eq!(to_oci(to_docker(media_type)), media_type);
            assert_eq!(compression_of(media_type), compression_of(to_docker(media_type)));
        }
    }
}
