//! One compressed form of a layer while it is made.
//!
//! What is written to it is the layer's tar. The form is hashed and written in a thread of its own. It goes into a file and,
//! where a registry waits for it, out to it as it grows. The file has no name, becomes a blob of the store, or is an archive
//! of which the form is a part.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use cooper_oci::compress::{self, Compression, Encoder, Prepared};
use cooper_oci::{Digest, HashingWriter, Reference};
use cooper_snapshotter::BlobFile;
use cooper_sys::fs::Leaving;
use tokio::sync::oneshot;

use crate::assemble::LayerFormat;
use crate::behind::Behind;
use crate::error::{BuildError, Kind};
use crate::growing::{Announcing, Growing};
use crate::session::Inner;
use crate::task;

/// The form. Dropping it without [`finish`](Self::finish) gives it up.
pub struct Making {
    session: Arc<Inner>,
    encoder: Encoder<Behind<Announcing<Target>>>,
    growing: Arc<Growing>,
    told: oneshot::Sender<Digest>,
    upload: Option<(String, task::Task<bool>)>,
}

/// Where a form shall be.
pub enum Destination {
    /// In a file of its own, for this session.
    File(File),
    /// In the store.
    Blob,
    /// In a file that stays, from this place on, where the file's cursor is.
    Part(File, u64),
}

/// Where the bytes go.
enum Target {
    File(HashingWriter<File>),
    Blob(HashingWriter<BlobFile>),
    /// The tar itself, which is hashed where it is made.
    Tar(BlobFile),
    Part(HashingWriter<Staying>),
}

/// A file that stays, and goes to disk while it is written.
struct Staying {
    file: File,
    written: u64,
    leaving: Leaving,
}

impl Write for Staying {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        self.leaving.reached(&self.file, self.written);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(writer) => writer.write(bytes),
            Self::Blob(writer) => writer.write(bytes),
            Self::Tar(writer) => writer.write(bytes),
            Self::Part(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(writer) => writer.flush(),
            Self::Blob(writer) => writer.flush(),
            Self::Tar(writer) => writer.flush(),
            Self::Part(writer) => writer.flush(),
        }
    }
}

impl Making {
    /// Begins, and begins to send it to the repository of `name`. Blocks that are `prepared` need not be compressed. To be
    /// called from a thread of the runtime.
    pub fn begin(
        session: &Arc<Inner>,
        format: &LayerFormat,
        name: Option<Reference>,
        destination: Destination,
        prepared: Option<Arc<Prepared>>,
    ) -> Result<Making, BuildError> {
        let (file, start, target) = match destination {
            Destination::Blob => {
                let blob = session.store.blob_file()?;
                let is_tar = format.compression == Compression::None;
                let reader = blob.reader()?;
                (reader, 0, if is_tar { Target::Tar(blob) } else { Target::Blob(HashingWriter::new(blob)) })
            }
            Destination::File(file) => {
                (file.try_clone().map_err(failed)?, 0, Target::File(HashingWriter::new(file)))
            }
            Destination::Part(file, start) => {
                let copy = file.try_clone().map_err(failed)?;
                let staying = Staying { file, written: start, leaving: Leaving::from(start) };
                (copy, start, Target::Part(HashingWriter::new(staying)))
            }
        };
        let (growing, writer) = Growing::within(file, start, target);
        let writer = Behind::start("layer", writer).map_err(failed)?;
        let encoder =
            compress::encoder_with(writer, format.compression, format.level, session.threads, prepared)
                .map_err(failed)?;
        let (told, digest) = oneshot::channel();
        let upload = name.map(|name| {
            let (client, stream) = (session.push_client(&name), growing.stream(0));
            let repository = name.name();
            let work = async move {
                client.push_unfinished(&name, stream, async { digest.await.ok() }).await.is_ok()
            };
            (repository, task::spawn(work))
        });
        Ok(Making { session: session.clone(), encoder, growing, told, upload })
    }

    /// Takes the layer's tar.
    pub fn writer(&mut self) -> &mut (dyn Write + Send) {
        &mut self.encoder
    }

    /// What is there of the form.
    pub fn growing(&self) -> &Arc<Growing> {
        &self.growing
    }

    /// All of the layer with this diff ID was written. Returns digest and size of the form. What is kept is a blob of the
    /// store only when the session's forms have settled.
    pub fn finish(self, diff_id: &Digest) -> Result<(Digest, u64), BuildError> {
        let Self { session, encoder, growing, told, upload } = self;
        let target =
            encoder.finish().and_then(Behind::finish).and_then(Announcing::finish).map_err(failed)?;
        let (digest, size_bytes, blob) = match target {
            Target::File(writer) => {
                let (_, digest, size_bytes) = writer.finish();
                (digest, size_bytes, None)
            }
            Target::Part(writer) => {
                let (_, digest, size_bytes) = writer.finish();
                (digest, size_bytes, None)
            }
            Target::Blob(writer) => {
                let (blob, digest, size_bytes) = writer.finish();
                (digest, size_bytes, Some(blob))
            }
            Target::Tar(blob) => (diff_id.clone(), blob.written(), Some(blob)),
        };
        // Nobody listens if the upload failed; whoever pushes sees that.
        let _ = told.send(digest.clone());
        match blob {
            Some(blob) => session.forms.keep(blob, digest.clone()),
            None => session.forms.has_made(digest.clone(), growing),
        }
        if let Some((repository, upload)) = upload {
            session.forms.is_sending(digest.clone(), repository, upload);
        }
        Ok((digest, size_bytes))
    }
}

/// A layer could not be compressed.
pub(crate) fn failed(e: io::Error) -> BuildError {
    BuildError::new(Kind::Config, "cannot compress a layer").caused_by(e)
}
