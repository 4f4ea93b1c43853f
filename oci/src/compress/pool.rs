//! Threads that turn blocks into other blocks, in order.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// More threads than this gain nothing.
const MAX_THREADS: usize = 32;

/// Threads at work, and the blocks that they were given, oldest first. Dropping it lets them finish what they have.
pub(super) struct Pool<I, O> {
    jobs: SyncSender<Job<I, O>>,
    pending: VecDeque<Receiver<io::Result<O>>>,
    max_pending: usize,
    threads: Vec<JoinHandle<()>>,
}

/// A block, and where to send the result.
struct Job<I, O> {
    block: I,
    reply: SyncSender<io::Result<O>>,
}

impl<I: Send + 'static, O: Send + 'static> Pool<I, O> {
    /// Starts threads; each makes one worker for itself. So many blocks a thread are held at most: one in work, those that
    /// wait for that, and those that are done and wait for slower ones.
    pub(super) fn start<F, M>(name: &str, threads: usize, blocks: usize, make: Arc<M>) -> io::Result<Self>
    where
        M: Fn() -> F + Send + Sync + 'static,
        F: FnMut(I) -> io::Result<O>,
    {
        let threads = threads.clamp(1, MAX_THREADS);
        let max_pending = threads * blocks;
        let (jobs, queue) = sync_channel::<Job<I, O>>(max_pending);
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..threads)
            .map(|_| {
                let (queue, make) = (Arc::clone(&queue), Arc::clone(&make));
                std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&queue, make()))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { jobs, pending: VecDeque::new(), max_pending, threads })
    }

    /// How many threads there are.
    pub(super) fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Whether the next [`push`](Self::push) waits for a result.
    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= self.max_pending
    }

    /// Gives a block to the threads. If they have enough already, waits for the oldest one and hands back its result.
    pub(super) fn push(&mut self, block: I) -> io::Result<Option<O>> {
        let oldest = if self.is_full() { self.pending.pop_front() } else { None };
        let (reply, result) = sync_channel(1);
        self.jobs.send(Job { block, reply }).map_err(|_| lost_thread())?;
        self.pending.push_back(result);
        oldest.map(|oldest| wait(&oldest)).transpose()
    }

    /// The oldest result; `None` if there is none to wait for.
    pub(super) fn pop(&mut self) -> Option<io::Result<O>> {
        self.pending.pop_front().map(|oldest| wait(&oldest))
    }

    /// The results that are still to come. The threads have ended when all were taken.
    pub(super) fn finish(self) -> impl Iterator<Item = io::Result<O>> {
        drop(self.jobs);
        let mut threads = self.threads;
        let mut pending = self.pending;
        std::iter::from_fn(move || {
            let next = pending.pop_front().map(|oldest| wait(&oldest));
            if next.is_none() {
                for thread in threads.drain(..) {
                    // A thread that panicked was noticed when its block did not come.
                    let _ = thread.join();
                }
            }
            next
        })
    }
}

/// Works on blocks until no more can come.
fn work<I, O>(queue: &Mutex<Receiver<Job<I, O>>>, mut worker: impl FnMut(I) -> io::Result<O>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Nobody waits if the owner was dropped.
        let _ = job.reply.send(worker(job.block));
    }
}

fn wait<O>(result: &Receiver<io::Result<O>>) -> io::Result<O> {
    result.recv().map_err(|_| lost_thread())?
}

fn lost_thread() -> io::Error {
    io::Error::other("a compression thread died")
}
