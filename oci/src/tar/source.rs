//! The stream that an archive is read from: counts bytes, keeps the budget, tells torn from ended.

use std::io::{self, BufRead, BufReader, Read, Seek};

use super::header::{Field, Header};
use super::{BLOCK, Budget, TarError};

const BUFFER: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Source<R> {
    inner: BufReader<R>,
    pub(super) budget: Budget,
    pub(super) position: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(inner: R, budget: Budget) -> Self {
        Self { inner: BufReader::with_capacity(BUFFER, inner), budget, position: 0 }
    }

    pub(super) fn get_ref(&self) -> &R {
        self.inner.get_ref()
    }

    /// Fills a buffer. Gives 0 at the end of the stream, and an error for less than all.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 if filled == 0 => return Ok(0),
                0 => return Err(self.truncated()),
                got => filled += got,
            }
        }
        Ok(filled)
    }

    /// Reads a block that must be there.
    pub(super) fn block(&mut self) -> Result<[u8; BLOCK], TarError> {
        let mut block = [0; BLOCK];
        match self.fill(&mut block)? {
            0 => Err(self.truncated()),
            _ => Ok(block),
        }
    }

    /// Reads some bytes; 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        loop {
            match self.inner.read(buffer) {
                Ok(got) => {
                    self.count(got)?;
                    return Ok(got);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Io(error)),
            }
        }
    }

    /// Passes over bytes that must be there.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<(), TarError> {
        while count > 0 {
            let step = self.pass(usize::try_from(count).unwrap_or(usize::MAX))?;
            if step == 0 {
                return Err(self.truncated());
            }
            count -= step as u64;
        }
        Ok(())
    }

    /// Passes over all that is left, and hands back the reader underneath.
    pub(super) fn drain(mut self) -> Result<R, TarError> {
        while self.pass(usize::MAX)? > 0 {}
        Ok(self.inner.into_inner())
    }

    /// Passes over some bytes, `most` at most; 0 at the end.
    fn pass(&mut self, most: usize) -> Result<usize, TarError> {
        loop {
            match self.inner.fill_buf() {
                Ok(ready) => {
                    let step = ready.len().min(most);
                    self.inner.consume(step);
                    self.count(step)?;
                    return Ok(step);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Io(error)),
            }
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), TarError> {
        self.position += bytes as u64;
        if self.position > self.budget.max_bytes { Err(self.bytes_limit()) } else { Ok(()) }
    }

    pub(super) fn unsigned(&self, block: &Header, field: Field) -> Result<u64, TarError> {
        let number = block.number(field).and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| self.malformed("bad number in a header"))
    }

    pub(super) fn signed(&self, block: &Header, field: Field) -> Result<i64, TarError> {
        let number = block.number(field).and_then(|number| i64::try_from(number).ok());
        number.ok_or_else(|| self.malformed("bad time in a header"))
    }

    pub(super) fn truncated(&self) -> TarError {
        TarError::Truncated { offset: self.position }
    }

    pub(super) fn malformed(&self, what: &'static str) -> TarError {
        TarError::Malformed { offset: self.position, what }
    }

    pub(super) fn bytes_limit(&self) -> TarError {
        TarError::Limit { what: "bytes", limit: self.budget.max_bytes }
    }

    pub(super) fn metadata_limit(&self) -> TarError {
        TarError::Limit { what: "bytes of metadata", limit: self.budget.max_metadata }
    }
}

impl<R: Read + Seek> Source<R> {
    /// Passes over bytes that are not looked at, whether they are there or not.
    pub(super) fn seek_over(&mut self, count: u64) -> Result<(), TarError> {
        self.position = self.position.saturating_add(count);
        if self.position > self.budget.max_bytes {
            return Err(self.bytes_limit());
        }
        let step = i64::try_from(count).map_err(|_| self.bytes_limit())?;
        self.inner.seek_relative(step).map_err(TarError::Io)
    }
}

/// Zeros that follow data of this size.
pub(super) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
