//! Archives to copy to.
//!
//! Each member gets its place before its bytes come, so that several can be written at once, and the order is always the
//! same. What can only be written from its beginning to its end, such as a pipe, takes one member after the other. The file
//! gets its name when it is complete.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cooper_oci::tar::{BLOCK, Entry, Writer};
use cooper_oci::{Descriptor, Digest, Index, Manifest, Reference};

use super::name::{ArchiveForm, ArchiveName};
use crate::assemble::json;
use crate::error::{BuildError, Kind};
use crate::layout::{FULL_NAME, REF_NAME, blob_name, member};
use crate::replace::Replacement;

/// An archive that is being written.
#[derive(Debug)]
pub(super) struct Packing {
    path: String,
    /// What becomes a file; standard output is there already.
    replacement: Option<Replacement>,
    out: Arc<Out>,
    /// The image's name, in an archive of Docker's.
    names: Vec<Reference>,
    form: ArchiveForm,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    end: u64,
    blobs: BTreeSet<Digest>,
    listed: Vec<Descriptor>,
    image: Option<Manifest>,
}

#[derive(Debug)]
struct Out {
    file: File,
    is_stream: bool,
}

impl Packing {
    /// Begins an archive.
    pub(super) fn begin(name: &ArchiveName) -> Result<Packing, BuildError> {
        let path = name.path.clone();
        let failed = |e| failed(&path, e);
        let (replacement, out) = if path == "-" {
            let file = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned().map_err(failed)?;
            (None, Out { file: file.into(), is_stream: true })
        } else {
            let replacement = Replacement::begin(Path::new(&path))?;
            let file = replacement.file().try_clone().map_err(failed)?;
            let is_stream = replacement.is_stream();
            (Some(replacement), Out { file, is_stream })
        };
        // It names nothing else than an image that there will be.
        let mut names: Vec<Reference> = name.reference().into_iter().filter_map(Result::ok).collect();
        for name in &mut names {
            name.tag.get_or_insert_with(|| "latest".to_owned());
        }
        let (form, out) = (name.form, Arc::new(out));
        let packing = Packing { path: path.clone(), replacement, out, names, form, state: Mutex::default() };
        let mut folders = Writer::new(Vec::new());
        member::append_folders(&mut folders).map_err(failed)?;
        packing.append(std::mem::take(folders.get_mut()), 0).end().map_err(failed)?;
        Ok(packing)
    }

    /// Whether one member must be written after the other.
    pub(super) fn is_stream(&self) -> bool {
        self.out.is_stream
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failed(&self, e: io::Error) -> BuildError {
        failed(&self.path, e)
    }

    /// The place of a blob; `None` if it has one already.
    pub(super) fn place(&self, digest: &Digest, size_bytes: u64) -> Result<Option<Slot>, BuildError> {
        if !self.state().blobs.insert(digest.clone()) {
            return Ok(None);
        }
        self.member(&member::blob(digest, size_bytes)).map(Some)
    }

    fn member(&self, entry: &Entry) -> Result<Slot, BuildError> {
        let mut header = Writer::new(Vec::new());
        header.append(entry).map_err(|e| self.failed(e))?;
        Ok(self.append(std::mem::take(header.get_mut()), entry.size))
    }

    fn append(&self, header: Vec<u8>, size: u64) -> Slot {
        let mut state = self.state();
        let start = state.end + header.len() as u64;
        state.end = (start + size).next_multiple_of(BLOCK as u64);
        Slot { out: self.out.clone(), header, start, size, left: size }
    }

    /// Adds a small blob.
    pub(super) fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), BuildError> {
        let Some(slot) = self.place(digest, bytes.len() as u64)? else { return Ok(()) };
        slot.fill(bytes).map_err(|e| self.failed(e))
    }

    /// Notes the one image of an archive of Docker's.
    pub(super) fn holds(&self, image: Manifest) {
        self.state().image = Some(image);
    }

    /// Lists a manifest, under a tag or without one.
    pub(super) fn list(&self, manifest: &Descriptor, tag: Option<&str>) {
        let mut entry = manifest.clone();
        entry.annotations.remove(REF_NAME);
        entry.annotations.remove(FULL_NAME);
        if let Some(name) = self.names.first() {
            entry = member::named(entry, name);
        } else if let (Some(tag), ArchiveForm::Oci) = (tag, self.form) {
            entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        }
        self.state().listed.push(entry);
    }

    /// Adds what says where everything is, and gives the archive its name.
    pub(super) fn finish(self) -> Result<(), BuildError> {
        let (listed, image) = {
            let mut state = self.state();
            (std::mem::take(&mut state.listed), state.image.take())
        };
        let mut documents = vec![("index.json", json(&Index::new(listed))?)];
        if let Some(image) = image.filter(|_| self.form == ArchiveForm::Docker) {
            let layers: Vec<String> = image.layers.iter().map(|layer| blob_name(&layer.digest)).collect();
            let list = member::docker_list(&image.config.digest, &self.names, &layers)?;
            documents.push(("manifest.json", list));
        }
        documents.push(("oci-layout", member::MARK.to_vec()));
        for (path, bytes) in documents {
            let slot = self.member(&member::file(path, bytes.len() as u64))?;
            slot.fill(&bytes).map_err(|e| self.failed(e))?;
        }
        self.append(vec![0; 2 * BLOCK], 0).end().map_err(|e| self.failed(e))?;
        self.replacement.map_or(Ok(()), Replacement::commit)
    }
}

fn failed(path: &str, e: io::Error) -> BuildError {
    let place = if path == "-" { "standard output" } else { path };
    BuildError::new(Kind::Config, format!("cannot write {place}")).caused_by(e)
}

/// The place of a member.
#[derive(Debug)]
pub(super) struct Slot {
    out: Arc<Out>,
    /// Not written yet.
    header: Vec<u8>,
    start: u64,
    size: u64,
    /// Bytes that lack.
    left: u64,
}

impl Slot {
    /// Whether its bytes can be written once more.
    pub(super) fn can_restart(&self) -> bool {
        !self.out.is_stream
    }

    /// Forgets what was written.
    #[expect(clippy::unnecessary_wraps, reason = "sinks ask for it")]
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.left = self.size;
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        let header = std::mem::take(&mut self.header);
        if self.out.is_stream {
            (&self.out.file).write_all(&header)
        } else {
            self.out.file.write_all_at(&header, self.start - header.len() as u64)
        }
    }

    /// All bytes were written.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.begin()?;
        if self.left > 0 {
            return Err(io::Error::other("a blob is shorter than its descriptor says"));
        }
        let end = self.start + self.size;
        let padding = end.next_multiple_of(BLOCK as u64) - end;
        let zeros = &[0; BLOCK][..usize::try_from(padding).unwrap_or(0)];
        if self.out.is_stream {
            (&self.out.file).write_all(zeros)
        } else {
            self.out.file.write_all_at(zeros, end)
        }
    }

    fn fill(mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.end()
    }
}

impl Write for Slot {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if !self.header.is_empty() {
            self.begin()?;
        }
        if buffer.len() as u64 > self.left {
            return Err(io::Error::other("a blob is longer than its descriptor says"));
        }
        let at = self.start + self.size - self.left;
        let done = if self.out.is_stream {
            (&self.out.file).write(buffer)?
        } else {
            self.out.file.write_at(buffer, at)?
        };
        self.left -= done as u64;
        Ok(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
