//! `type=oci` and `type=docker`: an OCI image layout (image-spec, image-layout.md), as a tar or a directory.
//!
//! The docker form is the same layout with a `manifest.json` beside it, which is what `docker load` of any age reads.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use cooper_oci::tar::Writer;
use cooper_oci::{Descriptor, Digest, Index, Reference};

use crate::assemble::{self, Bundle};
use crate::error::{BuildError, Kind};
use crate::forms;
use crate::layout::{blob_name, directory_blob, member};
use crate::replace::replace_file;
use crate::session::Inner;

/// Bytes of a layer that are copied at once.
const COPY_BYTES: usize = 1 << 18;

/// Where an archive goes.
pub enum Target {
    /// A tar file, replaced as a whole.
    File(PathBuf),
    /// A directory.
    Directory(PathBuf),
    /// A tar to standard output.
    Stdout,
}

/// What an archive looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// An image layout.
    Oci,
    /// An image layout that `docker load` reads, without the layers that its reader has.
    Docker {
        /// The number of lowest layers that are left out.
        known: usize,
        /// A layer that it has had already.
        sent: Option<Sent>,
    },
}

/// A layer in an archive, before its digest was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The layer.
    pub diff_id: Digest,
    /// Where it is in the archive.
    pub path: &'static str,
}

/// Writes an image with all its blobs.
pub fn write(
    session: &Inner,
    bundle: &Bundle,
    names: &[Reference],
    form: &Form,
    target: &Target,
) -> Result<(), BuildError> {
    match target {
        Target::File(dest) => replace_file(dest, |out| stream(session, bundle, names, form, out)),
        Target::Stdout => {
            let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
            stream(session, bundle, names, form, &mut out)?;
            out.flush()
                .map_err(|e| BuildError::new(Kind::Config, "cannot write to standard output").caused_by(e))
        }
        Target::Directory(dest) => directory(session, bundle, names, form, dest),
    }
}

/// Everything but layers, by path.
fn documents(
    bundle: &Bundle,
    names: &[Reference],
    form: &Form,
) -> Result<Vec<(String, Vec<u8>)>, BuildError> {
    let blob = |bytes: &[u8]| blob_name(&Digest::sha256_of(bytes));
    let mut out = Vec::new();
    for image in &bundle.images {
        out.push((blob(&image.config_bytes), image.config_bytes.clone()));
        out.push((blob(&image.manifest_bytes), image.manifest_bytes.clone()));
    }
    if let Some(bytes) = &bundle.index_bytes {
        out.push((blob(bytes), bytes.clone()));
    }
    out.push(("index.json".into(), assemble::json(&index(bundle, names))?));
    if let ([image], Form::Docker { sent, .. }) = (bundle.images.as_slice(), form) {
        let path = |digest: &Digest| match sent {
            Some(sent) if sent.diff_id == *digest => sent.path.to_owned(),
            _ => blob_name(digest),
        };
        let layers: Vec<String> = image.layers.iter().map(|(_, d)| path(&d.digest)).collect();
        let config = Digest::sha256_of(&image.config_bytes);
        out.push(("manifest.json".into(), member::docker_list(&config, names, &layers)?));
    }
    out.push(("oci-layout".into(), member::MARK.to_vec()));
    Ok(out)
}

/// The descriptor of a bundle as archives have it: with its date.
pub(super) fn dated(bundle: &Bundle) -> Descriptor {
    let mut descriptor = bundle.descriptor.clone();
    if let Some(created) = bundle.images.first().and_then(|i| i.created.as_ref()) {
        descriptor.annotations.insert("org.opencontainers.image.created".into(), created.clone());
    }
    descriptor
}

fn index(bundle: &Bundle, names: &[Reference]) -> Index {
    let manifests = if names.is_empty() {
        vec![dated(bundle)]
    } else {
        names.iter().map(|name| member::named(dated(bundle), name)).collect()
    };
    Index::new(manifests)
}

/// Writes the archive as a tar.
fn stream(
    session: &Inner,
    bundle: &Bundle,
    names: &[Reference],
    form: &Form,
    out: &mut dyn Write,
) -> Result<(), BuildError> {
    let mut tar = Writer::new(out);
    append(session, bundle, names, form, &mut tar)?;
    tar.finish().map_err(failed)?;
    Ok(())
}

fn failed(e: std::io::Error) -> BuildError {
    BuildError::new(Kind::Config, "cannot write the image archive").caused_by(e)
}

/// Appends what belongs into the archive to a tar.
pub(super) fn append<W: Write>(
    session: &Inner,
    bundle: &Bundle,
    names: &[Reference],
    form: &Form,
    tar: &mut Writer<W>,
) -> Result<(), BuildError> {
    member::append_folders(tar).map_err(failed)?;
    let (known, sent) = match form {
        Form::Docker { known, sent } => (*known, sent.as_ref()),
        Form::Oci => (0, None),
    };
    let mut seen: BTreeSet<Digest> = sent.iter().map(|sent| sent.diff_id.clone()).collect();
    for (diff_id, descriptor) in bundle.images.iter().flat_map(|i| &i.layers).skip(known) {
        if seen.insert(descriptor.digest.clone()) {
            tar.append(&member::blob(&descriptor.digest, descriptor.size)).map_err(failed)?;
            layer(session, diff_id, descriptor, tar)?;
        }
    }
    append_documents(tar, bundle, names, form)
}

/// What follows the layers.
pub(super) fn append_documents<W: Write>(
    tar: &mut Writer<W>,
    bundle: &Bundle,
    names: &[Reference],
    form: &Form,
) -> Result<(), BuildError> {
    for (path, bytes) in documents(bundle, names, form)? {
        tar.append_with(&member::file(&path, bytes.len() as u64), &mut bytes.as_slice()).map_err(failed)?;
    }
    Ok(())
}

/// One layer's bytes: a blob of the store, a form of this session, or the uncompressed form made from its snapshot.
fn layer(
    session: &Inner,
    diff_id: &Digest,
    descriptor: &Descriptor,
    out: &mut dyn Write,
) -> Result<(), BuildError> {
    let Some(place) = forms::place(session, &descriptor.digest)? else {
        if descriptor.digest == *diff_id {
            return Ok(session.store.layer_tar(diff_id, out)?);
        }
        return Err(BuildError::new(Kind::Internal, format!("{} is lost", descriptor.digest)));
    };
    let copied = place.read(tokio::runtime::Handle::current()).and_then(|mut from| {
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            match from.read(&mut buffer)? {
                0 => return Ok(()),
                count => out.write_all(&buffer[..count])?,
            }
        }
    });
    copied.map_err(|e| {
        BuildError::new(Kind::Config, format!("cannot copy layer {}", descriptor.digest)).caused_by(e)
    })
}

fn directory(
    session: &Inner,
    bundle: &Bundle,
    names: &[Reference],
    form: &Form,
    dest: &Path,
) -> Result<(), BuildError> {
    let failed = |e: std::io::Error| {
        BuildError::new(Kind::Config, format!("cannot write {}", dest.display())).caused_by(e)
    };
    std::fs::create_dir_all(dest.join("blobs/sha256")).map_err(failed)?;
    for (diff_id, descriptor) in bundle.images.iter().flat_map(|i| &i.layers) {
        let path = directory_blob(dest, &descriptor.digest);
        if std::fs::metadata(&path).is_ok_and(|m| m.len() == descriptor.size) {
            continue;
        }
        replace_file(&path, |out| layer(session, diff_id, descriptor, out))?;
    }
    for (path, bytes) in documents(bundle, names, form)? {
        replace_file(&dest.join(path), |out| out.write_all(&bytes).map_err(failed))?;
    }
    Ok(())
}
