//! Threads that write files beside the one that walks.
//!
//! Files travel in batches of one directory, so that two threads seldom want the same directory's lock. The queue is
//! short: when it is full, or while there is too little to do to be worth a thread, the walker writes itself. A
//! directory is dressed by whoever drops its last handle, which is when everything below it is written.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use cooper_sys::fs::{self, Copier, Stat};

use super::CopyError;
use super::error::Doing as _;
use super::write_file::{Shared, Spot};

/// Files in one batch at most.
pub(super) const BATCH: usize = 64;
/// Batches on their way at most: each may hold two descriptors.
const QUEUE: usize = 8;
/// A copy of so few files is done before a thread would have started.
const WORTH_A_THREAD: usize = 32;
/// More threads than this only wait for the filesystem.
const MAX_THREADS: usize = 8;

/// A directory that is being written.
pub(super) struct Dir {
    pub from: OwnedFd,
    pub from_path: Vec<u8>,
    pub to: OwnedFd,
    pub path: Vec<u8>,
    pub above: Above,
    pub name: OsString,
    pub stat: Stat,
    pub end: End,
}

/// Where a directory lies.
pub(super) enum Above {
    /// In another one that is being written.
    Dir(Arc<Dir>),
    /// In one that is there already.
    There(OwnedFd),
}

impl Above {
    pub fn to(&self) -> BorrowedFd<'_> {
        match self {
            Above::Dir(dir) => dir.to.as_fd(),
            Above::There(dir) => dir.as_fd(),
        }
    }
}

/// What is to be done to a directory when all in it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Nothing,
    Time,
    Dress,
}

/// A file to be written into a directory under its own name.
pub(super) struct FileJob {
    pub name: OsString,
    pub stat: Stat,
}

/// Files of one directory.
pub(super) struct Batch {
    pub dir: Arc<Dir>,
    pub files: Vec<FileJob>,
}

/// The end of the queue that all threads take from.
type Batches = Arc<Mutex<Receiver<Batch>>>;

/// The threads, as the walker sees them.
pub(super) struct Crew<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    shared: &'scope Shared<'env>,
    queue: Option<(SyncSender<Batch>, Batches)>,
    seen: usize,
    /// The walker's own.
    pub copier: Copier,
}

/// Runs `walk` with a crew, and returns when everything is written. The first error of any thread ends all.
pub(super) fn with_crew<'env>(
    shared: &'env Shared<'env>,
    walk: impl FnOnce(&mut Crew<'_, 'env>) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let walked = std::thread::scope(|scope| {
        let mut crew = Crew { scope, shared, queue: None, seen: 0, copier: Copier::default() };
        let walked = walk(&mut crew);
        if walked.is_err() {
            shared.stop.store(true, Ordering::Relaxed);
        }
        let Crew { queue, mut copier, .. } = crew;
        if let Some((sender, receiver)) = queue {
            drop(sender);
            work(shared, &receiver, &mut copier);
        }
        walked
    });
    let failure = shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    // The walker stops with an error of its own only because of another thread's.
    failure.map_or(walked, Err)
}

impl<'scope> Crew<'scope, '_> {
    /// What all threads share.
    pub fn shared(&self) -> &'scope Shared<'scope> {
        self.shared
    }

    /// Has a batch written, now or soon.
    pub fn submit(&mut self, batch: Batch) -> Result<(), CopyError> {
        if self.shared.stop.load(Ordering::Relaxed) {
            return Err(CopyError::Cancelled);
        }
        self.seen += batch.files.len();
        if self.queue.is_none() && self.seen > WORTH_A_THREAD {
            self.start();
        }
        let batch = match &self.queue {
            None => batch,
            Some((sender, _)) => match sender.try_send(batch) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => batch,
            },
        };
        write_batch(self.shared, batch, &mut self.copier)
    }

    /// Gives back the walker's handle of a directory.
    pub fn release(&self, dir: Arc<Dir>) -> Result<(), CopyError> {
        release(self.shared, dir)
    }

    fn start(&mut self) {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        if threads < 2 {
            return;
        }
        let (sender, receiver) = sync_channel(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        // The walker is one of them.
        for _ in 1..threads {
            let (shared, receiver) = (self.shared, Arc::clone(&receiver));
            self.scope.spawn(move || work(shared, &receiver, &mut Copier::default()));
        }
        self.queue = Some((sender, receiver));
    }
}

/// Writes batches until there will be no more.
fn work(shared: &Shared<'_>, receiver: &Mutex<Receiver<Batch>>, copier: &mut Copier) {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return };
        if shared.stop.load(Ordering::Relaxed) {
            continue;
        }
        if let Err(error) = write_batch(shared, batch, copier) {
            shared.fail(error);
        }
    }
}

fn write_batch(shared: &Shared<'_>, batch: Batch, copier: &mut Copier) -> Result<(), CopyError> {
    let Batch { dir, files } = batch;
    for file in files {
        let below = |path: &[u8]| join(path, &file.name);
        let spot = Spot {
            from: dir.from.as_fd(),
            from_name: &file.name,
            from_path: &below(&dir.from_path),
            to: dir.to.as_fd(),
            name: &file.name,
            path: &below(&dir.path),
            stat: &file.stat,
        };
        shared.write(spot, copier)?;
    }
    release(shared, dir)
}

/// A path with one more name.
pub(super) fn join(path: &[u8], name: &OsStr) -> Vec<u8> {
    if path.is_empty() { name.as_bytes().to_vec() } else { [path, name.as_bytes()].join(&b'/') }
}

/// Gives back a handle; the last one finishes the directory, and gives back that of the one above.
fn release(shared: &Shared<'_>, mut dir: Arc<Dir>) -> Result<(), CopyError> {
    while let Some(done) = Arc::into_inner(dir) {
        match done.end {
            End::Nothing => {}
            End::Time => {
                let time = shared.dress.time_of(&done.stat);
                fs::utimens_at(&done.to, ".", time).doing("set the time of", &done.path)?;
            }
            End::Dress => {
                let xattrs = shared.xattrs(done.from.as_fd(), &done.from_path)?;
                shared.dress.give(done.above.to(), &done.name, &done.path, &done.stat, &xattrs)?;
            }
        }
        match done.above {
            Above::Dir(above) => dir = above,
            Above::There(_) => return Ok(()),
        }
    }
    Ok(())
}
