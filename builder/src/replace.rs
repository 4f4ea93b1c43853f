//! Files that are replaced as a whole: a failure leaves what was there before.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{BuildError, Kind};

/// A file that is written, and becomes visible only when it is complete. Dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Replacement {
    dest: PathBuf,
    begun: Begun,
}

#[derive(Debug)]
enum Begun {
    Beside(tempfile::NamedTempFile),
    /// A FIFO or device is written as it is.
    InPlace(File),
}

impl Replacement {
    /// Begins to write what will be `dest`.
    pub(crate) fn begin(dest: &Path) -> Result<Replacement, BuildError> {
        let failed = |e| failed(dest, e);
        if dest.is_dir() {
            return Err(BuildError::user(format!("destination file {} is a directory", dest.display())));
        }
        if dest.exists() && !dest.is_file() {
            let file = File::options().write(true).open(dest).map_err(failed)?;
            return Ok(Replacement { dest: dest.to_owned(), begun: Begun::InPlace(file) });
        }
        let folder = match dest.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".cooper-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(failed)?;
        Ok(Replacement { dest: dest.to_owned(), begun: Begun::Beside(file) })
    }

    pub(crate) fn file(&self) -> &File {
        match &self.begun {
            Begun::Beside(file) => file.as_file(),
            Begun::InPlace(file) => file,
        }
    }

    /// Whether it can only be written from its beginning to its end.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.begun, Begun::InPlace(_))
    }

    /// Gives the file its name.
    pub(crate) fn commit(self) -> Result<(), BuildError> {
        match self.begun {
            Begun::Beside(file) => {
                file.persist(&self.dest).map(drop).map_err(|e| failed(&self.dest, e.error))
            }
            Begun::InPlace(_) => Ok(()),
        }
    }
}

fn failed(dest: &Path, e: std::io::Error) -> BuildError {
    BuildError::new(Kind::Config, format!("cannot write {}", dest.display())).caused_by(e)
}

/// Writes a file beside `dest` and renames it there.
pub(crate) fn replace_file(
    dest: &Path,
    work: impl FnOnce(&mut BufWriter<&File>) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let replacement = Replacement::begin(dest)?;
    let mut out = BufWriter::with_capacity(1 << 20, replacement.file());
    work(&mut out)?;
    out.flush().map_err(|e| failed(dest, e))?;
    drop(out);
    replacement.commit()
}
