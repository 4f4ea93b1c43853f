//! SSH keys of the client for a build: `--ssh`.
//!
//! What a build gets is a socket on which it may list keys and sign, nothing else (`forward`); behind it stands an agent
//! of the client or a keyring of ours (`keyring`) with keys read from files (`key`, `openssh`, `der`). `raw` passes any
//! socket on as it is. Must not: let a private key into a container, a record, an event or an error.

mod der;
mod forward;
mod key;
mod keyring;
mod openssh;

use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use forward::Forward;
use keyring::Keyring;

/// A key file may be so large, as BuildKit has it.
const MAX_KEY_FILE_BYTES: u64 = 100 << 10;

/// What stands behind one id of `--ssh`.
#[derive(Debug, Clone)]
pub enum SshAgent {
    /// The socket of an agent: absolute.
    Agent(PathBuf),
    /// A socket that is passed on as it is: absolute.
    Raw(PathBuf),
    /// Keys from files.
    Keys(Arc<Keyring>),
}

/// Why `--ssh` cannot be fulfilled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// More or less than one path with `raw`.
    #[error("raw mode must supply exactly one socket path")]
    RawPaths,
    /// A file with `raw`.
    #[error("raw mode only supported with socket paths")]
    RawFile,
    /// Two sockets.
    #[error("only single socket allowed")]
    Sockets,
    /// Keys and a socket.
    #[error("invalid combination of keys and sockets")]
    Mixed,
    /// A path that cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// No key that could be used.
    #[error("failed to parse {}: {error}", path.display())]
    Key {
        /// The path as given.
        path: PathBuf,
        /// What is wrong with it.
        error: key::KeyError,
    },
}

impl SshAgent {
    /// Looks at `paths`: one socket, or files with private keys, which are read.
    pub fn open(paths: &[PathBuf], raw: bool) -> Result<SshAgent, SshError> {
        if raw && paths.len() != 1 {
            return Err(SshError::RawPaths);
        }
        let mut socket = None;
        let mut keys = Vec::new();
        for path in paths {
            let unreadable = |error| SshError::Unreadable { path: path.clone(), error };
            if socket.is_some() {
                return Err(SshError::Sockets);
            }
            if std::fs::metadata(path).map_err(unreadable)?.file_type().is_socket() {
                socket = Some(std::path::absolute(path).map_err(unreadable)?);
                continue;
            }
            if raw {
                return Err(SshError::RawFile);
            }
            let text = read(path).map_err(unreadable)?;
            keys.push(key::Key::parse(&text).map_err(|error| SshError::Key { path: path.clone(), error })?);
        }
        match socket {
            Some(_) if !keys.is_empty() => Err(SshError::Mixed),
            Some(socket) if raw => Ok(SshAgent::Raw(socket)),
            Some(socket) => Ok(SshAgent::Agent(socket)),
            None => Ok(SshAgent::Keys(Arc::new(Keyring::new(keys)))),
        }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(MAX_KEY_FILE_BYTES).read_to_end(&mut text)?;
    Ok(text)
}
