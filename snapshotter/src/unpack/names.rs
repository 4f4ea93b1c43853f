//! What the name of a member means.

use crate::error::{Error, Result};

const PREFIX: &[u8] = b".wh.";
const AUFS_PREFIX: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The meaning of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// The root directory itself.
    Root,
    /// A file or directory.
    Name(Place),
    /// A mark that hides a name.
    Whiteout(Place),
    /// A mark that empties a directory; an empty path is the root.
    Opaque(Vec<u8>),
    /// Bookkeeping of other tools, of no meaning here.
    Skip,
}

/// A place in a tree: a directory's path, and one name in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Components joined by slashes, clean; empty for the root.
    pub(crate) parent: Vec<u8>,
    pub(crate) name: Vec<u8>,
}

/// A directory and a name below it.
pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = parent.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The components of a name: no empty ones, no `.`, and `..` takes one away but never leaves the root.
pub(crate) fn clean(path: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

/// Splits a clean path; `None` for the root.
pub(crate) fn place(path: &[u8]) -> Option<Place> {
    let parts = clean(path);
    let (name, parents) = parts.split_last()?;
    Some(Place { parent: parents.join(&b'/'), name: name.to_vec() })
}

/// Finds the meaning of a member's name.
pub(crate) fn target(path: &[u8]) -> Result<Target> {
    if path.contains(&0) {
        return Err(Error::member(path, "the name has a zero byte"));
    }
    let Some(place) = place(path) else { return Ok(Target::Root) };
    for part in place.parent.split(|byte| *byte == b'/') {
        if part.starts_with(AUFS_PREFIX) {
            return Ok(Target::Skip);
        }
        if part.starts_with(PREFIX) {
            return Err(Error::member(path, "a whiteout has members below it"));
        }
    }
    if place.name == OPAQUE {
        return Ok(Target::Opaque(place.parent));
    }
    if place.name.starts_with(AUFS_PREFIX) {
        return Ok(Target::Skip);
    }
    let Some(hidden) = place.name.strip_prefix(PREFIX) else { return Ok(Target::Name(place)) };
    if matches!(hidden, b"" | b"." | b"..") {
        return Err(Error::member(path, "a whiteout without a name"));
    }
    Ok(Target::Whiteout(Place { name: hidden.to_vec(), parent: place.parent }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(parent: &str, name: &str) -> Place {
        Place { parent: parent.into(), name: name.into() }
    }

    #[test]
    fn names_are_cleaned_and_stay_inside() {
        for (path, expected) in [
            ("a/b", name("a", "b")),
            ("/a//./b/", name("a", "b")),
            ("../../a", name("", "a")),
            ("a/../../b", name("", "b")),
            ("a/b/../c", name("a", "c")),
        ] {
            assert_eq!(target(path.as_bytes()).unwrap(), Target::Name(expected), "{path}");
        }
        for root in ["", ".", "./", "/", "/.", "a/..", "../.."] {
            assert_eq!(target(root.as_bytes()).unwrap(), Target::Root, "{root}");
        }
    }

    #[test]
    fn marks_are_recognised_and_malformed_ones_refused() {
        assert_eq!(target(b"d/.wh.f").unwrap(), Target::Whiteout(name("d", "f")));
        assert_eq!(target(b"d/.wh..wh..opq").unwrap(), Target::Opaque(b"d".to_vec()));
        assert_eq!(target(b".wh..wh..opq").unwrap(), Target::Opaque(Vec::new()));
        assert_eq!(target(b".wh..wh.plnk/1").unwrap(), Target::Skip);
        assert_eq!(target(b".wh..wh.aufs").unwrap(), Target::Skip);
        for bad in [".wh.", ".wh..", ".wh...", ".wh./", ".wh.a/b", "a\0b"] {
            assert!(target(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
