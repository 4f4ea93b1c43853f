//! Opens archives, so that they can be read anywhere.
//!
//! A tar file is read where it is. What comes from a pipe, or is compressed, first goes into a file without a name in the
//! directory for temporary files; it is gone when nobody reads it any more, however that ends.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;

use cooper_oci::compress::{Detected, auto_decoder};
use cooper_oci::tar;

use crate::error::{BuildError, Kind};

const COPY_BYTES: usize = 1 << 20;
/// An archive may always have so many bytes, and beyond them so many for each of its compressed ones.
const MODEST_BYTES: u64 = 1 << 30;
const MOST_FOR_A_BYTE: u64 = 100;

/// Opens the archive at a path, or on standard input if the path is `-`.
pub(super) fn open(path: &str) -> Result<File, BuildError> {
    let failed = |e: io::Error| BuildError::user(format!("cannot read {path}")).caused_by(e);
    let mut file = if path == "-" {
        let input = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned();
        File::from(input.map_err(failed)?)
    } else {
        File::open(path).map_err(failed)?
    };
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(BuildError::user(format!("{path} is a directory, no archive"))
            .hint(format!("a directory with an OCI layout is named oci-layout://{path}")));
    }
    if metadata.is_file() {
        // Standard input may have been read in part.
        file.rewind().map_err(failed)?;
        let mut first = [0; tar::BLOCK];
        let got = read_first(&file, &mut first).map_err(failed)?;
        if Detected::of(&first[..got]) == Detected::None {
            return if tar::is_header(&first[..got]) { Ok(file) } else { Err(no_archive(path)) };
        }
    }
    spool(path, file, MODEST_BYTES)
}

fn read_first(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read_at(&mut buffer[got..], got as u64)? {
            0 => break,
            more => got += more,
        }
    }
    Ok(got)
}

fn no_archive(path: &str) -> BuildError {
    BuildError::user(format!("{} is no tar archive", shown(path)))
}

fn shown(path: &str) -> &str {
    if path == "-" { "standard input" } else { path }
}

/// Puts what a pipe gives, or what is compressed, into a temporary file.
fn spool(path: &str, from: File, modest_bytes: u64) -> Result<File, BuildError> {
    let failed = |e: io::Error| BuildError::user(format!("cannot read {}", shown(path))).caused_by(e);
    let counted = Counted { from, read: std::rc::Rc::default() };
    let read = counted.read.clone();
    let (_, mut plain) = auto_decoder(counted).map_err(failed)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut filled = 0;
    while filled < tar::BLOCK {
        match plain.read(&mut buffer[filled..tar::BLOCK]).map_err(failed)? {
            0 => break,
            got => filled += got,
        }
    }
    if !tar::is_header(&buffer[..filled]) {
        return Err(no_archive(path));
    }
    let kept = |e: io::Error| {
        let place = std::env::temp_dir();
        BuildError::new(Kind::Config, format!("cannot keep {} in {}", shown(path), place.display()))
            .caused_by(e)
            .hint("what comes from a pipe or is compressed needs room there; TMPDIR names another directory")
    };
    let mut file = tempfile::tempfile().map_err(kept)?;
    let mut written = 0;
    while filled > 0 {
        file.write_all(&buffer[..filled]).map_err(kept)?;
        written += filled as u64;
        if written > modest_bytes.max(read.get().saturating_mul(MOST_FOR_A_BYTE)) {
            return Err(BuildError::user(format!(
                "{} is refused: decompressed, it has more than {MOST_FOR_A_BYTE} times its size",
                shown(path)
            ))
            .hint("if that is right, decompress it first"));
        }
        filled = plain.read(&mut buffer).map_err(failed)?;
    }
    Ok(file)
}

/// Counts what is read.
struct Counted {
    from: File,
    read: std::rc::Rc<std::cell::Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buffer)?;
        self.read.set(self.read.get() + got as u64);
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use cooper_oci::compress::{Compression, encoder};
    use cooper_oci::tar::{Entry, Writer};

    use super::*;

    /// An archive of zeros, which can be compressed to almost nothing.
    fn archive(size: u64, compression: Compression) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut tar = Writer::new(encoder(file.as_file(), compression, None, 1).unwrap());
        let entry = Entry { path: b"zeros".to_vec(), size, ..Entry::default() };
        tar.append_with(&entry, &mut io::repeat(0)).unwrap();
        tar.finish().unwrap().finish().unwrap();
        file
    }

    fn open_named(file: &tempfile::NamedTempFile) -> Result<File, BuildError> {
        open(file.path().to_str().unwrap())
    }

    #[test]
    fn archives_may_be_compressed() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let file = open_named(&archive(100_000, compression)).unwrap();
            assert_eq!(file.metadata().unwrap().len(), 512 + 100_352 + 1024, "{compression:?}");
        }
    }

    #[test]
    fn bombs_end() {
        let open = |size, compression| {
            let file = archive(size, compression);
            spool("x", file.reopen().unwrap(), 1 << 20).map(drop).map_err(|e| e.to_string())
        };
        open(1 << 24, Compression::None).unwrap();
        open(1 << 19, Compression::Zstd).unwrap();
        for compression in [Compression::Gzip, Compression::Zstd] {
            let error = open(1 << 24, compression).unwrap_err();
            assert!(error.contains("100 times its size"), "{error}");
        }
    }

    #[test]
    fn what_is_no_archive_is_not_kept() {
        let told = |error: BuildError| error.to_string();
        assert!(told(open("/dev/zero").unwrap_err()).contains("no tar archive"));
        assert!(told(open("/no/such/file").unwrap_err()).contains("/no/such/file"));
        assert!(told(open("/").unwrap_err()).contains("directory"));
        let file = tempfile::NamedTempFile::new().unwrap();
        for content in [&b""[..], b"text", &[7; 2000]] {
            std::fs::write(file.path(), content).unwrap();
            assert!(told(open_named(&file).unwrap_err()).contains("no tar archive"));
            let mut packed = encoder(Vec::new(), Compression::Gzip, None, 1).unwrap();
            packed.write_all(content).unwrap();
            std::fs::write(file.path(), packed.finish().unwrap()).unwrap();
            assert!(told(open_named(&file).unwrap_err()).contains("no tar archive"));
        }
    }
}
