//! Whole outputs of running steps, in temporary files, for the ways of drawing that show only the last lines.
//!
//! A file is gone when its step ends well. Of a failed step it stays if asked for. Trouble with these files never
//! harms a build: the last lines are in memory.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use cooper_builder::event::StepNumber;
use tempfile::NamedTempFile;

/// The files.
#[derive(Debug, Default)]
pub struct Spool(BTreeMap<StepNumber, Option<NamedTempFile>>);

impl Spool {
    /// Appends to a step's file.
    pub fn write(&mut self, step: StepNumber, bytes: &[u8]) {
        let file = self.0.entry(step).or_insert_with(|| {
            tempfile::Builder::new().prefix("cooper-step-").suffix(".log").tempfile().ok()
        });
        if file.as_mut().is_some_and(|f| f.write_all(bytes).is_err()) {
            *file = None;
        }
    }

    /// Deletes a step's file.
    pub fn forget(&mut self, step: StepNumber) {
        self.0.remove(&step);
    }

    /// Leaves a step's file where it is, for the user.
    pub fn keep(&mut self, step: StepNumber) -> Option<PathBuf> {
        let (_, path) = self.0.remove(&step)??.keep().ok()?;
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
        let two = spool.0[&2].as_ref().unwrap().path().to_owned();
        spool.forget(2);
        assert!(!two.exists());
        let kept = spool.keep(1).unwrap();
        drop(spool);
        assert_eq!(std::fs::read(&kept).unwrap(), b"one more");
        std::fs::remove_file(kept).unwrap();
    }
}
