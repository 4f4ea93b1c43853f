//! A socket for a build behind which stands what `--ssh` names: for `RUN --mount=type=ssh`, and for git.
//!
//! Frames are a big-endian u32 length, then a type byte and its data (draft-ietf-sshm-ssh-agent, section 3). Only
//! listing keys and signing pass; whoever runs in a build may not add, remove or lock keys. A raw socket has no frames.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use cooper_sys::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::SshAgent;
use super::keyring::{FAILURE, LIST, SIGN};
use crate::error::{BuildError, Kind};
use crate::task::{self, Task};

/// Frames above this are refused, as OpenSSH's agent does.
const MAX_FRAME_BYTES: u32 = 256 << 10;

/// A listening socket; it ends with this value.
#[derive(Debug)]
pub struct Forward {
    socket: OwnedFd,
    directory: PathBuf,
    _server: Task<()>,
}

impl Forward {
    /// Listens in `directory`, which is removed with this value. Owner and mode are those that the mount asks for.
    pub fn new(
        directory: PathBuf,
        agent: SshAgent,
        uid: u32,
        gid: u32,
        mode: u32,
    ) -> Result<Self, BuildError> {
        let failed = |e: std::io::Error| {
            BuildError::new(Kind::Config, "cannot make a socket for the ssh agent").caused_by(e)
        };
        let dir = fs::open_dir(&directory)?;
        // By descriptor: a socket's path may have no more than 107 bytes (unix(7)).
        let path = format!("/proc/self/fd/{}/agent", dir.as_raw_fd());
        let listener = UnixListener::bind(&path).map_err(failed)?;
        fs::chown_at(&dir, "agent", uid, gid)?;
        fs::chmod_at(&dir, "agent", mode)?;
        let socket = fs::open_at(&dir, "agent", fs::OFlags::PATH)?;
        let server = task::spawn(serve(listener, agent));
        Ok(Forward { socket, directory, _server: server })
    }

    /// A handle of the socket, to be mounted.
    pub fn socket(&self) -> Result<OwnedFd, BuildError> {
        self.socket
            .try_clone()
            .map_err(|e| BuildError::new(Kind::Config, "cannot duplicate a descriptor").caused_by(e))
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // What stays is found and removed when the store is opened next.
        let _ = fs::remove_tree(&self.directory);
    }
}

async fn serve(listener: UnixListener, agent: SshAgent) {
    let mut connections: Vec<Task<()>> = Vec::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.retain(|c| !c.is_finished());
        let agent = agent.clone();
        connections.push(task::spawn(async move {
            // A connection that breaks concerns only the program at its other end.
            let _ = converse(client, &agent).await;
        }));
    }
}

async fn converse(mut client: UnixStream, agent: &SshAgent) -> std::io::Result<()> {
    let mut socket = match agent {
        SshAgent::Agent(path) | SshAgent::Raw(path) => Some(UnixStream::connect(path).await?),
        SshAgent::Keys(_) => None,
    };
    if let (SshAgent::Raw(_), Some(socket)) = (agent, &mut socket) {
        tokio::io::copy_bidirectional(&mut client, socket).await?;
        return Ok(());
    }
    while let Some(question) = frame(&mut client).await? {
        let allowed = question.first().is_some_and(|kind| [LIST, SIGN].contains(kind));
        let answer = match (agent, &mut socket) {
            _ if !allowed => vec![FAILURE],
            (SshAgent::Keys(keyring), _) => keyring.answer(&question),
            (_, Some(socket)) => {
                send(socket, &question).await?;
                let Some(answer) = frame(socket).await? else { return Ok(()) };
                answer
            }
            (_, None) => return Ok(()),
        };
        send(&mut client, &answer).await?;
    }
    Ok(())
}

/// The next frame without its length; `None` at the end of the stream.
async fn frame(stream: &mut UnixStream) -> std::io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u32().await {
        Ok(length) => length,
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    };
    if length > MAX_FRAME_BYTES {
        return Err(std::io::Error::other("the frame is too long"));
    }
    let mut data = vec![0; length as usize];
    stream.read_exact(&mut data).await?;
    Ok(Some(data))
}

async fn send(stream: &mut UnixStream, data: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(data.len()).map_err(std::io::Error::other)?;
    stream.write_u32(length).await?;
    stream.write_all(data).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn listing_passes_and_changing_keys_does_not() {
        let place = tempfile::tempdir().unwrap();
        let agent = place.path().join("agent");
        let listener = UnixListener::bind(&agent).unwrap();
        let played = task::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while let Some(question) = frame(&mut stream).await.unwrap() {
                seen.push(question[0]);
                send(&mut stream, &[12, 0, 0, 0, 0]).await.unwrap();
            }
            seen
        });
        let directory = place.path().join("d");
        std::fs::create_dir(&directory).unwrap();
        // Our own ids: the test need not be root.
        let own = cooper_sys::fs::fstat(cooper_sys::fs::open_dir(&directory).unwrap()).unwrap();
        let forward =
            Forward::new(directory.clone(), SshAgent::Agent(agent), own.uid, own.gid, 0o600).unwrap();
        let mut client = UnixStream::connect(directory.join("agent")).await.unwrap();
        // List; add a key (17); remove all (19); lock (22); sign.
        for (kind, answer) in [(11, 12), (17, 5), (19, 5), (22, 5), (13, 12)] {
            send(&mut client, &[kind]).await.unwrap();
            assert_eq!(frame(&mut client).await.unwrap().unwrap()[0], answer, "type {kind}");
        }
        drop(client);
        assert_eq!(played.join().await.unwrap(), [11, 13]);
        drop(forward);
        assert!(!directory.exists());
    }
}
