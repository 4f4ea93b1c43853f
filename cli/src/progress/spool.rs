//! Whole outputs of running steps, in temporary files, for the ways of drawing that show only the last lines.
//!
//! The files have no names, so that nothing is left of them however we end; that of a failed step is copied to one
//! with a name if asked for. Trouble with these files never harms a build: the last lines are in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::PathBuf;

use cooper_builder::event::StepNumber;

/// The files.
#[derive(Debug, Default)]
pub struct Spool(BTreeMap<StepNumber, Option<File>>);

impl Spool {
    /// Appends to a step's file.
    pub fn write(&mut self, step: StepNumber, bytes: &[u8]) {
        let file = self.0.entry(step).or_insert_with(|| tempfile::tempfile().ok());
        if file.as_mut().is_some_and(|f| f.write_all(bytes).is_err()) {
            *file = None;
        }
    }

    /// Deletes a step's file.
    pub fn forget(&mut self, step: StepNumber) {
        self.0.remove(&step);
    }

    /// Copies a step's file to one that stays, for the user.
    pub fn keep(&mut self, step: StepNumber) -> Option<PathBuf> {
        let mut file = self.0.remove(&step)??;
        file.rewind().ok()?;
        let mut kept = tempfile::Builder::new().prefix("cooper-step-").suffix(".log").tempfile().ok()?;
        std::io::copy(&mut file, &mut kept).ok()?;
        let (_, path) = kept.keep().ok()?;
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_is_kept_stays() {
        let mut spool = Spool::default();
        spool.write(1, b"one ");
        spool.write(1, b"more");
        spool.write(2, b"two");
        spool.forget(2);
        assert_eq!(spool.keep(2), None);
        let kept = spool.keep(1).unwrap();
        drop(spool);
        assert_eq!(std::fs::read(&kept).unwrap(), b"one more");
        std::fs::remove_file(kept).unwrap();
    }
}
