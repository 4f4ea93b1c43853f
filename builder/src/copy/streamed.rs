//! A directory of the client on its way into a layer, without a copy in between.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt as _;
use std::sync::{Mutex, PoisonError};

use cooper_snapshotter::{Error, Open, Splice, Take, TreeEntry, TreeKind};
use cooper_sys::fs::{self, FileKind, OFlags, Stat};

use super::CopyError;
use super::dress::Dress;
use super::error::{Doing as _, rooted};
use super::source::Files;
use super::walk::{Item, Role, Rules, Visitor, walk};
use super::write_file::same_content;

/// From so many bytes on it is worth it.
const WORTH_BYTES: u64 = 16 << 20;

/// What is below a directory of the source, as it will be in the image.
pub struct Streamed<'s> {
    files: &'s Files,
    from: &'s [u8],
    rules: &'s Rules,
    dress: Dress<'s>,
    at: Vec<u8>,
    failure: Mutex<Option<CopyError>>,
}

/// Whether a tree is large, and has nothing in it that only the filesystem can judge.
pub(super) fn is_worth_it(files: &Files, top: &[u8], rules: &Rules) -> Result<bool, CopyError> {
    let mut survey = Survey { bytes: 0, simple: true, linked: HashSet::new() };
    walk(files, top, rules, &mut survey)?;
    Ok(survey.simple && survey.bytes >= WORTH_BYTES)
}

struct Survey {
    bytes: u64,
    simple: bool,
    /// Files with several names.
    linked: HashSet<(u64, u64)>,
}

impl Visitor for Survey {
    fn enter(&mut self, _: &Item<'_>, role: Role) -> Result<(), CopyError> {
        self.simple &= role != Role::Parent;
        Ok(())
    }

    fn leave(&mut self, _: &Item<'_>, _: Role) -> Result<(), CopyError> {
        Ok(())
    }

    fn file(&mut self, file: &Item<'_>) -> Result<(), CopyError> {
        let stat = file.stat;
        self.simple &= matches!(stat.kind, FileKind::File | FileKind::Symlink);
        self.simple &= stat.nlink < 2 || self.linked.insert((stat.dev, stat.ino));
        self.bytes += if stat.is_file() { stat.size } else { 0 };
        Ok(())
    }
}

impl<'s> Streamed<'s> {
    /// `from` and `at` are paths below the two roots, without links.
    pub(super) fn new(
        files: &'s Files,
        from: &'s [u8],
        rules: &'s Rules,
        dress: Dress<'s>,
        at: Vec<u8>,
    ) -> Self {
        Streamed { files, from, rules, dress, at, failure: Mutex::new(None) }
    }

    /// What went wrong with the source, if anything did.
    pub fn into_failure(self) -> Option<CopyError> {
        self.failure.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: CopyError) -> io::Error {
        let text = error.to_string();
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        io::Error::other(text)
    }

    fn entry(&self, item: &Item<'_>, kind: TreeKind) -> TreeEntry {
        let (uid, gid) = self.dress.owner_of(item.stat);
        let mode = if kind == TreeKind::Symlink { 0o777 } else { self.dress.mode_of(item.stat) };
        let path = [&self.at, item.relative].join(&b'/');
        TreeEntry { mode, uid, gid, mtime: self.dress.time_of(item.stat), ..TreeEntry::new(path, kind) }
    }

    fn open(&self, item: &Item<'_>) -> Result<Content<'_>, CopyError> {
        let file = fs::open_at(item.parent, item.name, OFlags::RDONLY).doing("open", item.path)?;
        let stat = fs::fstat(&file).doing("stat", item.path)?;
        if !same_content(&stat, item.stat) || !self.files.hasher.is_current(item.path, &stat) {
            return Err(CopyError::Changed { path: rooted(item.path) });
        }
        let (file, left) = (File::from(file), stat.size);
        Ok(Content { streamed: self, path: item.path.to_vec(), file, stat, left })
    }
}

impl Splice for Streamed<'_> {
    fn at(&self) -> &[u8] {
        &self.at
    }

    fn entries(&self, take: &mut Take<'_>) -> Result<(), Error> {
        let mut handing = Handing { streamed: self, take, refused: None };
        let walked = walk(self.files, self.from, self.rules, &mut handing);
        match (walked, handing.refused) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(refused)) => Err(refused),
            (Err(error), None) => {
                Err(Error::WriteLayer { layer: "of files of the client".into(), source: self.fail(error) })
            }
        }
    }
}

struct Handing<'h, 't> {
    streamed: &'h Streamed<'h>,
    take: &'h mut Take<'t>,
    /// Why the layer would not have an entry.
    refused: Option<Error>,
}

impl Handing<'_, '_> {
    fn give(&mut self, entry: TreeEntry, open: Option<&Open<'_>>) -> Result<(), CopyError> {
        (self.take)(entry, open).map_err(|error| {
            self.refused = Some(error);
            CopyError::Cancelled
        })
    }
}

impl Visitor for Handing<'_, '_> {
    fn enter(&mut self, dir: &Item<'_>, role: Role) -> Result<(), CopyError> {
        self.streamed.dress.check_cancelled()?;
        if role == Role::Top { Ok(()) } else { self.give(self.streamed.entry(dir, TreeKind::Dir), None) }
    }

    fn leave(&mut self, _: &Item<'_>, _: Role) -> Result<(), CopyError> {
        Ok(())
    }

    fn file(&mut self, file: &Item<'_>) -> Result<(), CopyError> {
        let streamed = self.streamed;
        streamed.dress.check_cancelled()?;
        if file.stat.is_symlink() {
            let target = fs::readlink_at(file.parent, file.name).doing("read the link", file.path)?;
            let entry = streamed.entry(file, TreeKind::Symlink);
            return self.give(TreeEntry { link: target.into_vec(), ..entry }, None);
        }
        let content = streamed.files.hasher.known(file.path, file.stat);
        let size = file.stat.size;
        let entry = TreeEntry { size, content, ..streamed.entry(file, TreeKind::File) };
        let open = || -> io::Result<Box<dyn Read + '_>> {
            let content = streamed.open(file).map_err(|e| streamed.fail(e))?;
            Ok(Box::new(content))
        };
        self.give(entry, (size > 0).then_some(&open as &Open<'_>))
    }
}

/// One file. Its attributes are looked at once more behind the last byte.
struct Content<'s> {
    streamed: &'s Streamed<'s>,
    path: Vec<u8>,
    file: File,
    stat: Stat,
    left: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(&mut buffer[..most])?;
        self.left -= count as u64;
        if most > 0 && (self.left == 0 || count == 0) {
            let same = fs::fstat(&self.file).is_ok_and(|now| same_content(&now, &self.stat));
            if self.left > 0 || !same {
                return Err(self.streamed.fail(CopyError::Changed { path: rooted(&self.path) }));
            }
        }
        Ok(count)
    }
}
