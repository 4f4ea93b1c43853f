//! Files of the store itself: trusted paths, atomic replacement, sealed records, names of files.
//!
//! A *record* is a small file whose first line seals the rest:
//!
//! ```text
//! cooper-record 1 <blake3 of the payload, hex>\n
//! <payload>
//! ```
//!
//! A torn or rotten record reads as absent. Never use anything here on an untrusted tree.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::error::{Error, Result};

const SEAL: &str = "cooper-record 1 ";
/// Larger records are not ours.
const MAX_RECORD_BYTES: u64 = 256 << 20;

/// How much a written file must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// A power cut: the file and its directory are synced.
    PowerCut,
    /// The death of this process; after a power cut the file may be missing or empty.
    Process,
}

/// Turns any text into a file name: letters, digits, `.`, `_`, `-` stay, the rest becomes `%XX`.
/// A leading dot is escaped as well. Names over 200 bytes are replaced by their hash.
pub(crate) fn encode_name(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && index > 0);
        if plain {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    if encoded.is_empty() || encoded.len() > 200 {
        return format!("%-{}", blake3::hash(name.as_bytes()).to_hex());
    }
    encoded
}

/// Writes `name` in `dir` through a file in `tmp`, so that readers see the old or the new content.
pub(crate) fn write_atomic(
    tmp: &Path,
    dir: &Path,
    name: &str,
    parts: &[&[u8]],
    durability: Durability,
) -> Result<()> {
    let target = dir.join(name);
    let mut file = tempfile::Builder::new()
        .prefix("file-")
        .tempfile_in(tmp)
        .map_err(Error::io("create a temporary file in", tmp))?;
    for part in parts {
        file.write_all(part).map_err(Error::io("write", &target))?;
    }
    if durability == Durability::PowerCut {
        file.as_file().sync_all().map_err(Error::io("sync", &target))?;
    }
    file.persist(&target).map_err(|error| Error::io("rename to", &target)(error.error))?;
    if durability == Durability::PowerCut {
        sync_dir(dir)?;
    }
    Ok(())
}

/// Writes a sealed record.
pub(crate) fn write_record(
    tmp: &Path,
    dir: &Path,
    name: &str,
    payload: &[u8],
    durability: Durability,
) -> Result<()> {
    let head = format!("{SEAL}{}\n", blake3::hash(payload).to_hex());
    write_atomic(tmp, dir, name, &[head.as_bytes(), payload], durability)
}

/// Writes a sealed record as a new file, where no reader looks yet.
pub(crate) fn create_record(path: &Path, payload: &[u8]) -> Result<()> {
    let mut bytes = format!("{SEAL}{}\n", blake3::hash(payload).to_hex()).into_bytes();
    bytes.extend_from_slice(payload);
    fs::write(path, bytes).map_err(Error::io("write", path))
}

/// Reads a sealed record; `None` if it is absent or its seal is broken.
pub(crate) fn read_record(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(mut bytes) = read_optional(path)? else { return Ok(None) };
    let Some(end) = bytes.iter().take(SEAL.len() + 65).position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let payload = &bytes[end + 1..];
    let seal = format!("{SEAL}{}", blake3::hash(payload).to_hex());
    if bytes[..end] != *seal.as_bytes() {
        return Ok(None);
    }
    Ok(Some(bytes.split_off(end + 1)))
}

/// Reads a whole file of the store; `None` if there is none.
pub(crate) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(meta) if meta.len() > MAX_RECORD_BYTES => return Err(Error::damaged(path, "record is too large")),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
    }
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(Error::io("sync", dir))
}

/// Removes a file; a missing one is fine.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a directory tree by descriptors, never through links; a missing one is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    Ok(cooper_sys::fs::remove_tree(path)?)
}

/// Names in a directory, sorted; a missing directory is empty.
pub(crate) fn list(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", dir))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_become_single_components_that_differ() {
        assert_eq!(encode_name("docker.io/library/busybox:1"), "docker.io%2Flibrary%2Fbusybox%3A1");
        assert_eq!(encode_name(".."), "%2E.");
        assert_eq!(encode_name("."), "%2E");
        assert_ne!(encode_name(""), "");
        assert_eq!(encode_name(&"x".repeat(300)).len(), 66);
        assert!(!encode_name("a/../b").contains('/'));
    }

    #[test]
    fn a_record_with_a_broken_seal_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        write_record(dir.path(), dir.path(), "r", b"payload", Durability::Process).unwrap();
        let path = dir.path().join("r");
        assert_eq!(read_record(&path).unwrap().unwrap(), b"payload");
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(read_record(&path).unwrap(), None, "cut at {cut}");
        }
        for index in 0..whole.len() {
            let mut bad = whole.clone();
            bad[index] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(read_record(&path).unwrap(), None, "flip at {index}");
        }
    }
}
