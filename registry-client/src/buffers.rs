//! Memory for bytes on their way to a registry, used again and again.
//!
//! Fresh memory for each part would cost as much as reading it: the kernel clears every page. A buffer comes back
//! when the connection has sent what is in it; as many exist as one stream has on the way.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of a buffer: several of them fit into a processor's cache.
const BUFFER_BYTES: usize = 256 << 10;

/// The buffers of one stream. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Box<[u8]>>>>);

impl Buffers {
    /// Lets `read` fill a buffer; what it says it has read is given out.
    pub(crate) fn fill(&self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<Bytes> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = free.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice());
        let mut lent = Lent { bytes, length: 0, home: self.clone() };
        lent.length = read(&mut lent.bytes)?;
        Ok(Bytes::from_owner(lent))
    }
}

/// A buffer that is out.
struct Lent {
    bytes: Box<[u8]>,
    length: usize,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.0.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.bytes));
    }
}
