//! What is where in a tar file. The data is not read; links are followed within the archive.
//!
//! Where it is not clear what an archive holds, it is refused: members with one name, and names with `..` or of the whole
//! machine.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Seek as _;
use std::sync::Arc;

use cooper_oci::tar::{Budget, EntryKind, Reader, TarError};

use super::Window;
use crate::error::BuildError;

/// Links that are followed one after the other.
const MAX_LINKS: usize = 8;
/// Names and targets of links together.
const MAX_NAME_BYTES: usize = 16 << 20;
/// An archive of images has a few members for each layer.
const BUDGET: Budget =
    Budget { max_entries: 100_000, max_bytes: 1 << 42, max_metadata: 1 << 20, max_path: 4096 };

/// The files of an archive.
#[derive(Debug)]
pub(crate) struct Members {
    archive: String,
    file: Arc<File>,
    places: BTreeMap<Vec<u8>, Place>,
}

#[derive(Debug)]
enum Place {
    Data {
        start: u64,
        size_bytes: u64,
    },
    /// A link; `None` if it leads out of the archive.
    Link(Option<Vec<u8>>),
    Sparse,
}

impl Members {
    /// Looks through a tar file that people know as `archive`.
    pub(crate) fn read(archive: &str, mut file: File) -> Result<Members, BuildError> {
        let places = places(&mut file).map_err(|reason| match reason {
            Reason::Tar(e) => BuildError::user(format!("{archive} cannot be read as a tar")).caused_by(e),
            Reason::Told(what) => BuildError::user(format!("{archive} is refused: {what}")),
        })?;
        Ok(Members { archive: archive.to_owned(), file: Arc::new(file), places })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        clean(name.as_bytes()).is_some_and(|name| self.places.contains_key(&name))
    }

    /// The data of a member.
    pub(crate) fn find(&self, name: &str) -> Result<Window, BuildError> {
        let archive = &self.archive;
        let refused = |what: &str| Err(BuildError::user(format!("{archive}: {name:?} {what}")));
        let Some(mut at) = clean(name.as_bytes()) else { return refused("is no name of a member") };
        for _ in 0..=MAX_LINKS {
            match self.places.get(&at) {
                Some(Place::Data { start, size_bytes }) => {
                    return Ok(Window::new(self.file.clone(), *start, *size_bytes));
                }
                Some(Place::Link(Some(target))) => at.clone_from(target),
                Some(Place::Link(None)) => return refused("is a link that leads out of the archive"),
                Some(Place::Sparse) => return refused("is stored as a sparse file"),
                None => return refused("is missing"),
            }
        }
        refused("is a link that does not end")
    }
}

enum Reason {
    Tar(TarError),
    Told(String),
}

impl From<TarError> for Reason {
    fn from(error: TarError) -> Self {
        Reason::Tar(error)
    }
}

fn places(file: &mut File) -> Result<BTreeMap<Vec<u8>, Place>, Reason> {
    let io = |e| Reason::Tar(TarError::Io(e));
    file.rewind().map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let mut tar = Reader::new(file, BUDGET);
    let mut places = BTreeMap::new();
    let mut name_bytes = 0;
    while let Some(entry) = tar.next_by_seeking()? {
        let shown = || String::from_utf8_lossy(&entry.path).into_owned();
        let Some(name) = clean(&entry.path) else {
            return Err(Reason::Told(format!("its member {:?} would lie outside", shown())));
        };
        let place = match entry.kind {
            EntryKind::File if tar.extents().is_some() => Place::Sparse,
            EntryKind::File => {
                let start = tar.position();
                if start + entry.size > length {
                    return Err(Reason::Told(format!("it ends within its member {:?}", shown())));
                }
                Place::Data { start, size_bytes: entry.size }
            }
            EntryKind::Symlink if entry.link.starts_with(b"/") => Place::Link(None),
            EntryKind::Symlink => {
                let folder = name.iter().rposition(|b| *b == b'/').map_or(&b""[..], |at| &name[..at]);
                Place::Link(inside(&[folder, b"/", &entry.link].concat()))
            }
            EntryKind::HardLink => Place::Link(inside(&entry.link)),
            // What has no data is nothing of an image.
            _ => continue,
        };
        name_bytes += name.len() + entry.link.len();
        if name_bytes > MAX_NAME_BYTES {
            return Err(Reason::Told("its names are too long".to_owned()));
        }
        if places.insert(name, place).is_some() {
            return Err(Reason::Told(format!("it has two members {:?}", shown())));
        }
    }
    Ok(places)
}

/// A member's name without what means nothing; `None` if it has `..` or begins at the machine's root.
fn clean(name: &[u8]) -> Option<Vec<u8>> {
    let parts: Vec<&[u8]> = name.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    (!name.starts_with(b"/") && !parts.contains(&&b".."[..])).then(|| parts.join(&b'/'))
}

/// A path in an archive without `.`, `..` and slashes that mean nothing; `None` if it leads out.
pub(crate) fn inside(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use cooper_oci::tar::{Entry, Writer};

    use super::*;

    /// A file of members: `->` begins the target of a symbolic link, `=>` that of a hard link.
    fn archive(members: &[(&str, &str)]) -> File {
        let mut tar = Writer::new(Vec::new());
        for (path, content) in members {
            let mut entry = Entry { path: path.as_bytes().to_vec(), mode: 0o644, ..Entry::default() };
            if let Some(target) = content.strip_prefix("->") {
                (entry.kind, entry.link) = (EntryKind::Symlink, target.into());
            } else if let Some(target) = content.strip_prefix("=>") {
                (entry.kind, entry.link) = (EntryKind::HardLink, target.into());
            } else {
                entry.size = content.len() as u64;
            }
            let mut data = if entry.size > 0 { content.as_bytes() } else { b"" };
            tar.append_with(&entry, &mut data).unwrap();
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&tar.finish().unwrap()).unwrap();
        file
    }

    fn read(members: &[(&str, &str)]) -> Result<Members, BuildError> {
        Members::read("x.tar", archive(members))
    }

    #[test]
    fn members_are_found_through_links() {
        let long = format!("{}/layer.tar", "d".repeat(300));
        let members = read(&[
            ("./one", "first"),
            (&long, "second"),
            ("a/b/layer.tar", "->../../one"),
            ("hard", "=>a/b/layer.tar"),
            ("around", "->around"),
            ("out", "->../one"),
            ("whole", "->/one"),
            ("lost", "->nowhere"),
        ])
        .unwrap();
        let found =
            |name: &str| members.find(name).map(|w| String::from_utf8(w.bytes(100).unwrap()).unwrap());
        assert_eq!(found("one").unwrap(), "first");
        assert_eq!(found(&long).unwrap(), "second");
        assert_eq!(found("./hard").unwrap(), "first");
        for (name, why) in [
            ("around", "does not end"),
            ("out", "leads out"),
            ("whole", "leads out"),
            ("lost", "missing"),
            ("../one", "no name"),
            ("/one", "no name"),
            ("other", "missing"),
        ] {
            let error = members.find(name).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(name), "{error}");
        }
        assert!(members.find("one").unwrap().bytes(4).is_err());
    }

    #[test]
    fn doubtful_archives_are_refused() {
        for (members, why) in [
            (&[("../x", "1")][..], "outside"),
            (&[("a/../../x", "1")], "outside"),
            (&[("/x", "1")], "outside"),
            (&[("x", "1"), ("./x", "1")], "two members"),
            (&[("x", "1"), ("x", "->y")], "two members"),
        ] {
            let error = read(members).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("x.tar"), "{error}");
        }
    }

    #[test]
    fn a_file_that_was_cut_is_refused() {
        let cut = |length: u64| {
            let file = archive(&[("a", "1"), ("b", &"x".repeat(2000))]);
            file.set_len(length).unwrap();
            Members::read("x.tar", file)
        };
        assert!(cut(512 * 3 + 1000).unwrap_err().to_string().contains("ends within its member \"b\""));
        cut(512 * 2 + 100).unwrap_err();
        // What is missing then is told when it is looked for.
        cut(512 * 2).unwrap().find("b").unwrap_err();
        assert!(Members::read("x.tar", archive(&[])).unwrap().places.is_empty());
    }
}
