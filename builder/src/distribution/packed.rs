//! Directories of artifacts, as oras packs them: one layer, a tar compressed with gzip whose members lie below the
//! directory's name, and annotations that say so and name the tar's digest.
//!
//! What is packed depends on names, contents and who may execute what, on no owner and no time: the same directory makes
//! the same digest. What is unpacked first stands in a directory of its own beside its place, where it is looked at; then
//! it is moved. Nothing comes to stand outside of its name, and no link leads out of it.

use std::fs::{self, File, Permissions};
use std::io::{self, Seek as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use cooper_oci::compress::{Compression, auto_decoder, encoder};
use cooper_oci::tar::{Budget, Entry, EntryKind, Reader, Writer};
use cooper_oci::{Descriptor, HashingReader, HashingWriter};
use cooper_snapshotter::{ExtractOptions, extract};
use cooper_sys::process::{effective_gid, effective_uid};

use crate::error::{BuildError, Kind};

/// oras's mark of a layer that is a directory.
const UNPACK: &str = "io.deis.oras.content.unpack";
/// The digest of its tar.
const CONTENT: &str = "io.deis.oras.content.digest";

/// Whether a layer is a directory.
pub(super) fn is_packed(layer: &Descriptor) -> bool {
    layer.annotations.get(UNPACK).is_some_and(|value| value == "true")
}

/// A directory as it is pushed.
pub(super) struct Packed {
    pub(super) file: tempfile::NamedTempFile,
    pub(super) layer: Descriptor,
}

fn failed(what: &str, path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let text = format!("cannot {what} {}", path.display());
    move |e| BuildError::user(text).caused_by(e)
}

/// Packs a directory under a name.
pub(super) fn pack(directory: &Path, name: &str, media_type: &str) -> Result<Packed, BuildError> {
    let file = tempfile::NamedTempFile::new().map_err(failed("make a file in", &std::env::temp_dir()))?;
    let writing = || failed("write", file.path());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let packed = HashingWriter::new(io::BufWriter::with_capacity(1 << 20, file.as_file()));
    let packed = encoder(packed, Compression::Gzip, None, threads).map_err(writing())?;
    let mut tar = Writer::new(HashingWriter::new(packed));
    add(&mut tar, directory, name.as_bytes(), 0)?;
    let (packed, content, _) = tar.finish().map_err(writing())?.finish();
    let (mut inner, digest, size) = packed.finish().map_err(writing())?.finish();
    io::Write::flush(&mut inner).map_err(writing())?;
    drop(inner);
    let mut layer = Descriptor::new(media_type, digest, size);
    layer.annotations.insert(UNPACK.into(), "true".into());
    layer.annotations.insert(CONTENT.into(), content.to_string());
    Ok(Packed { file, layer })
}

fn add<W: io::Write>(tar: &mut Writer<W>, path: &Path, name: &[u8], depth: usize) -> Result<(), BuildError> {
    let metadata = fs::symlink_metadata(path).map_err(failed("read", path))?;
    let kind = metadata.file_type();
    let mut entry = Entry { path: name.to_vec(), mode: 0o644, ..Entry::default() };
    if kind.is_dir() {
        (entry.kind, entry.mode) = (EntryKind::Dir, 0o755);
        tar.append(&entry).map_err(failed("pack", path))?;
        let entries = fs::read_dir(path).map_err(failed("read", path))?;
        let mut names = entries
            .map(|entry| entry.map(|e| e.file_name()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed("read", path))?;
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        for child in names {
            let below = [name, b"/", child.as_bytes()].concat();
            add(tar, &path.join(&child), &below, depth + 1)?;
        }
        return Ok(());
    }
    if kind.is_symlink() {
        let link = fs::read_link(path).map_err(failed("read", path))?;
        if !stays(&link, depth) {
            return Err(BuildError::user(format!("{} leads out of its directory", path.display()))
                .hint("who pulls the artifact would have it lead elsewhere"));
        }
        (entry.kind, entry.mode, entry.link) =
            (EntryKind::Symlink, 0o777, link.as_os_str().as_bytes().to_vec());
        return tar.append(&entry).map_err(failed("pack", path));
    }
    if !kind.is_file() {
        return Err(BuildError::user(format!("{} is no file, directory or link", path.display())));
    }
    if metadata.permissions().mode() & 0o111 != 0 {
        entry.mode = 0o755;
    }
    entry.size = metadata.len();
    let mut file = File::open(path).map_err(failed("read", path))?;
    tar.append_with(&entry, &mut file).map_err(failed("read", path))
}

/// Whether a link in a directory so many levels below the top (itself counted) stays inside, whatever other links there
/// are: it may climb first, from where it really is, and then only go down.
fn stays(link: &Path, depth: usize) -> bool {
    let mut climbed = 0;
    let mut down = false;
    for part in link.components() {
        match part {
            Component::ParentDir if !down => climbed += 1,
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            _ => return false,
        }
    }
    // A link beside the others in the top directory has depth 1.
    climbed < depth
}

/// Unpacks a layer into `folder`, where it comes to stand under its name.
pub(super) fn unpack(
    mut file: &File,
    layer: &Descriptor,
    name: &Path,
    folder: &Path,
) -> Result<(), BuildError> {
    let broken = |what: String| BuildError::new(Kind::Remote, format!("{}: {what}", name.display()));
    check(file, layer, name).map_err(|e| broken(e.to_string()))?;
    let staging = tempfile::Builder::new().prefix(".cooper-").tempdir_in(folder);
    let staging = staging.map_err(failed("make a directory in", folder))?;
    file.rewind().map_err(failed("read", name))?;
    let (_, plain) = auto_decoder(file).map_err(failed("read", name))?;
    let options =
        ExtractOptions { chown: Some((effective_uid(), effective_gid())), ..ExtractOptions::default() };
    let root = File::open(staging.path()).map_err(failed("open", staging.path()))?;
    extract(plain, root.as_fd(), Path::new("/"), &options).map_err(|e| broken(e.to_string()))?;
    let top = staging.path().join(name);
    settle(&top, 0).map_err(broken)?;
    place(&top, &folder.join(name))
}

/// Looks at each member before anything is written.
fn check(mut file: &File, layer: &Descriptor, name: &Path) -> Result<(), Box<dyn std::error::Error>> {
    file.rewind()?;
    let (_, plain) = auto_decoder(file)?;
    let mut tar = Reader::new(HashingReader::new(plain), Budget::layer());
    let below = |path: &[u8]| {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        plain && path.starts_with(name)
    };
    while let Some(entry) = tar.next()? {
        let path = String::from_utf8_lossy(&entry.path).into_owned();
        if !below(&entry.path) {
            return Err(format!("{path:?} would be written outside").into());
        }
        match entry.kind {
            EntryKind::File | EntryKind::Dir | EntryKind::Symlink => {}
            EntryKind::HardLink if below(&entry.link) => {}
            EntryKind::HardLink => return Err(format!("{path:?} is a file outside").into()),
            _ => return Err(format!("{path:?} is no file, directory or link").into()),
        }
    }
    let mut rest = tar.drain()?;
    io::copy(&mut rest, &mut io::sink())?;
    let (_, digest, _) = rest.finish();
    match layer.annotations.get(CONTENT) {
        Some(want) if *want != digest.as_str() => Err(format!("its tar is {digest}, not {want}").into()),
        _ => Ok(()),
    }
}

/// Takes special rights from what was unpacked, and refuses links that lead out.
fn settle(path: &Path, depth: usize) -> Result<(), String> {
    let told = |e: io::Error| format!("cannot unpack {}: {e}", path.display());
    let metadata = fs::symlink_metadata(path).map_err(told)?;
    if metadata.is_symlink() {
        let link = fs::read_link(path).map_err(told)?;
        let name = path.file_name().unwrap_or_default().display();
        return if stays(&link, depth) { Ok(()) } else { Err(format!("the link {name} leads out of it")) };
    }
    let mode = metadata.permissions().mode() & 0o777;
    let mode = if metadata.is_dir() { mode | 0o700 } else { mode | 0o600 };
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(told)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(told)? {
            settle(&entry.map_err(told)?.path(), depth + 1)?;
        }
    }
    Ok(())
}

/// Moves what was unpacked to where it belongs; directories that are there are kept, files in them replaced.
fn place(from: &Path, to: &Path) -> Result<(), BuildError> {
    let writing = || failed("write", to);
    let is_dir = fs::symlink_metadata(from).map_err(writing())?.is_dir();
    let there = match fs::symlink_metadata(to) {
        Ok(there) => Some(there.is_dir()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(writing()(e)),
    };
    match (is_dir, there) {
        (true, Some(true)) => {
            for entry in fs::read_dir(from).map_err(writing())? {
                let entry = entry.map_err(writing())?;
                place(&entry.path(), &to.join(entry.file_name()))?;
            }
            return Ok(());
        }
        (true, Some(false)) => fs::remove_file(to).map_err(writing())?,
        (false, Some(true)) => {
            return Err(BuildError::user(format!("{} is a directory, but should be a file", to.display())));
        }
        _ => {}
    }
    fs::rename(from, to).map_err(writing())
}

/// Makes the directories down to `below` in `folder`; no link on the way is followed.
pub(super) fn directories(folder: &Path, below: &Path) -> Result<PathBuf, BuildError> {
    let mut path = folder.to_owned();
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    for part in below.components() {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => {
                return Err(BuildError::user(format!(
                    "{} is no directory, so nothing is written below it",
                    path.display()
                )));
            }
            Err(_) => fs::DirBuilder::new().mode(0o777).create(&path).map_err(failed("make", &path))?,
        }
    }
    Ok(path)
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
