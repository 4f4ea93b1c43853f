//! Compressing large files of the last RUN while its command goes on.
//!
//! Package indexes, archives and binaries are written once, and then the command does other things, mostly on one
//! processor. What of them is still the same at the end need not be compressed then; what is not was a waste of time that
//! nobody else wanted. Only looks at the upper directory, and changes nothing in it.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cooper_oci::compress::{Compression, Prepared};
use cooper_snapshotter::Active;
use cooper_sys::fs::{self, FileKind, OFlags, Stat};

use crate::error::BuildError;
use crate::making::failed;
use crate::solver::Build;
use crate::task::{self, Task};

/// The time between two looks, at least.
const PAUSE: Duration = Duration::from_millis(300);
/// And at least so many times as long as the last one took.
const EASE: u32 = 8;
/// So many files are taken at one look.
const MOST_FILES: usize = 64;
/// More levels of directories than this are not looked into.
const DEEPEST: usize = 64;

/// A thread at work. It ends when this is dropped.
pub struct Ahead {
    prepared: Arc<Prepared>,
    _leash: Leash,
    _thread: Task<Result<(), BuildError>>,
}

#[derive(Default)]
struct Ended {
    is: Mutex<bool>,
    told: Condvar,
}

impl Ended {
    fn tell(&self) {
        *self.is.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_all();
    }

    fn is_told(&self) -> bool {
        *self.is.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if it was told in this time.
    fn wait(&self, time: Duration) -> bool {
        let is = self.is.lock().unwrap_or_else(PoisonError::into_inner);
        *self.told.wait_timeout_while(is, time, |is| !*is).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Tells the thread to end when it is dropped.
struct Leash(Arc<Ended>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.tell();
    }
}

impl Ahead {
    /// Begins, if a gzip form of the step's layer is wanted at its end, and there is a processor to spare.
    pub fn start(build: &Build, step: usize, active: &Active) -> Result<Option<Ahead>, BuildError> {
        let Some(form) = build.last_form(step).filter(|form| form.format.compression == Compression::Gzip)
        else {
            return Ok(None);
        };
        let Some(upper) = active.upper()?.filter(|_| build.session.threads > 1) else { return Ok(None) };
        let file = build.session.store.scratch_file()?;
        let scratch = file.try_clone().map_err(failed)?;
        let prepared = Arc::new(Prepared::new(file, form.format.level));
        let ended = Arc::<Ended>::default();
        let work = {
            let (prepared, ended) = (prepared.clone(), ended.clone());
            move || {
                // The command is what is waited for.
                cooper_sys::process::lowest_priority();
                Worker { upper, prepared, scratch, ended, seen: HashMap::new() }.run();
                Ok(())
            }
        };
        let thread = task::spawn(task::background("compress ahead", work));
        Ok(Some(Ahead { prepared, _leash: Leash(ended), _thread: thread }))
    }

    /// Tells the thread to end, without waiting for its last block, and hands over what it has done.
    pub fn finish(self) -> Arc<Prepared> {
        self.prepared
    }
}

/// What of a file's attributes changes with its content.
type Look = (u64, (i64, u32), (i64, u32));

struct Worker {
    upper: OwnedFd,
    prepared: Arc<Prepared>,
    /// The file of what is prepared.
    scratch: File,
    ended: Arc<Ended>,
    /// Large files by inode number: as they were at the last look, and whether they are done.
    seen: HashMap<u64, (Look, bool)>,
}

impl Worker {
    fn run(mut self) {
        let mut pause = PAUSE;
        while !self.ended.wait(pause) {
            let begun = Instant::now();
            let mut still = Vec::new();
            if let Ok(upper) = self.upper.try_clone() {
                self.look(upper.as_fd(), DEEPEST, &mut still);
            }
            pause = PAUSE.max(begun.elapsed() * EASE);
            for (file, ino) in still {
                if self.compress(&file).is_err() || self.ended.is_told() {
                    break;
                }
                if let Some((_, done)) = self.seen.get_mut(&ino) {
                    *done = true;
                }
            }
        }
    }

    /// Finds large files that are as they were. What cannot be looked at is left out: it may be gone already.
    fn look(&mut self, dir: BorrowedFd<'_>, depth: usize, still: &mut Vec<(File, u64)>) {
        let Ok(items) = fs::read_dir(dir) else { return };
        for item in items {
            if self.ended.is_told() || still.len() >= MOST_FILES {
                return;
            }
            match item.kind {
                FileKind::Dir if depth > 0 => {
                    if let Ok(inner) = fs::open_at(dir, &item.name, OFlags::RDONLY | OFlags::DIRECTORY) {
                        self.look(inner.as_fd(), depth - 1, still);
                    }
                }
                FileKind::File => {
                    let Ok(stat) = fs::stat_at(dir, &item.name) else { continue };
                    if stat.size >= Prepared::SMALLEST_FILE
                        && self.is_still(&stat)
                        && let Ok(file) = fs::open_at(dir, &item.name, OFlags::RDONLY)
                    {
                        still.push((File::from(file), stat.ino));
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether a file has not changed since the last look, and was not compressed yet.
    fn is_still(&mut self, stat: &Stat) -> bool {
        let now: Look = (stat.size, stat.mtime, stat.ctime);
        match self.seen.insert(stat.ino, (now, false)) {
            Some((before, done)) if before == now => {
                self.seen.insert(stat.ino, (now, done));
                !done
            }
            _ => false,
        }
    }

    fn compress(&self, file: &File) -> std::io::Result<()> {
        let mut block = vec![0; Prepared::BLOCK];
        let mut at = 0;
        while !self.ended.is_told() {
            let count = fill(file, &mut block, at)?;
            let padded = Prepared::padded(count);
            block[count..padded].fill(0);
            if count > 0 {
                self.prepared.prepare(&block[..padded])?;
            }
            if count < block.len() {
                break;
            }
            at += count as u64;
        }
        // The layer must be on disk at the end. The sync then has less to do, of what is not of the layer, too.
        fs::start_writeback(file, 0, at);
        fs::start_writeback(&self.scratch, 0, 0);
        Ok(())
    }
}

/// Reads until the block is full or the file ends, and says how much there was.
fn fill(file: &File, block: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut count = 0;
    while count < block.len() {
        match file.read_at(&mut block[count..], at + count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(count)
}
