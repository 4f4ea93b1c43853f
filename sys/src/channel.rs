//! Messages with descriptors between two processes, over a Unix stream socket: a length, descriptors with the first
//! byte, then the bytes.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::error::Context as _;
use crate::{Error, Result};

/// The kernel's limit on descriptors in one message.
pub const MAX_DESCRIPTORS: usize = 253;
/// Upper limit of a message: far more than any command line that the kernel takes.
const MAX_BYTES: u32 = 256 << 20;

/// Sends one message.
pub fn send(socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= MAX_BYTES);
    let length = length.ok_or_else(|| Error::new("send", "message", io::Error::other("too long")))?;
    if fds.len() > MAX_DESCRIPTORS {
        return Err(Error::new("send", "message", io::Error::other("too many descriptors")));
    }
    let mut space = vec![MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(fds).size()];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Error::new("send", "message", io::Error::other("no space for descriptors")));
    }
    let head = length.to_le_bytes();
    let sent = rustix::net::sendmsg(socket, &[IoSlice::new(&head)], &mut ancillary, SendFlags::NOSIGNAL)
        .at("send", "message")?;
    let mut socket = socket;
    socket.write_all(&head[sent..]).and_then(|()| socket.write_all(bytes)).at("send", "message")
}

/// Receives one message; `None` when the other side is closed.
pub fn receive(socket: &UnixStream) -> Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut head = [0; 4];
    let received = loop {
        let buffers = &mut [IoSliceMut::new(&mut head)];
        match rustix::net::recvmsg(socket, buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            other => break other.at("receive", "message")?.bytes,
        }
    };
    if received == 0 {
        return Ok(None);
    }
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    let mut socket = socket;
    socket.read_exact(&mut head[received..]).at("receive", "message")?;
    let length = u32::from_le_bytes(head);
    if length > MAX_BYTES {
        return Err(Error::new("receive", "message", io::Error::other("too long")));
    }
    let mut bytes = Vec::new();
    socket.take(length.into()).read_to_end(&mut bytes).at("receive", "message")?;
    if bytes.len() as u64 != u64::from(length) {
        return Err(Error::new("receive", "message", io::Error::from(io::ErrorKind::UnexpectedEof)));
    }
    Ok(Some((bytes, fds)))
}
