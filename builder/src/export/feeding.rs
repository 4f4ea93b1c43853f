//! An engine's own command that reads an image archive, while it does.
//!
//! A layer can go to it before it is whole, if its size is known: the archive then begins with that layer, and the rest
//! follows when the image is assembled. What is not finished is ended, and leaves nothing in the engine.

use std::io::{self, BufWriter, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use cooper_oci::tar::Writer;
use cooper_oci::{Digest, Reference};

use super::archive::{self, Form, Sent};
use crate::assemble::Bundle;
use crate::error::{BuildError, Kind};
use crate::layout::member;
use crate::session::Inner;

/// Name in the archive of a layer whose digest nobody knows yet.
const FIRST_LAYER: &str = "layer.tar";

/// The command. Dropping it ends it.
pub struct Feeding {
    engine: &'static str,
    running: Running,
    tar: Writer<BufWriter<ChildStdin>>,
}

struct Running(Option<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn failed(engine: &str) -> impl Fn(io::Error) -> BuildError + '_ {
    move |e| BuildError::new(Kind::Config, format!("`{engine} load` failed")).caused_by(e)
}

impl Feeding {
    /// Starts the command of an engine.
    pub fn start(engine: &'static str, mut command: Command) -> Result<Self, BuildError> {
        let failed = failed(engine);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(&failed)?;
        let stdin = child.stdin.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let tar = Writer::new(BufWriter::with_capacity(1 << 20, stdin));
        Ok(Self { engine, running: Running(Some(child)), tar })
    }

    /// Sends the uncompressed tar of a layer, which must have so many bytes.
    pub fn begin(&mut self, tar: &mut dyn Read, size_bytes: u64) -> io::Result<()> {
        self.tar.append(&member::file(FIRST_LAYER, size_bytes))?;
        self.tar.write_data(tar)?;
        if tar.read(&mut [0])? == 0 { Ok(()) } else { Err(io::Error::other("the layer has grown")) }
    }

    /// Sends an image, but for its lowest `known` layers and that with which it began, and waits for the engine.
    pub fn finish(
        self,
        session: &Inner,
        bundle: &Bundle,
        names: &[Reference],
        known: usize,
        begun: Option<Digest>,
    ) -> Result<(), BuildError> {
        let Self { engine, mut running, mut tar } = self;
        let sent = begun.map(|diff_id| Sent { diff_id, path: FIRST_LAYER });
        let failed = failed(engine);
        let written = archive::append(session, bundle, names, &Form::Docker { known, sent }, &mut tar)
            .and_then(|()| tar.finish().and_then(|mut out| out.flush()).map_err(&failed));
        let Some(child) = running.0.take() else { return written };
        let output = child.wait_with_output().map_err(&failed)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
            return Err(BuildError::new(Kind::Config, format!("`{engine} load` failed: {said}")));
        }
        written
    }
}
