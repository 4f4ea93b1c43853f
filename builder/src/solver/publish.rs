//! Publishing records: all that wait go together, behind one `syncfs` that makes their layers durable.
//!
//! One worker at a time serves a build, beside its steps, and waits a moment for more: a `syncfs` holds up what steps
//! write meanwhile. The records themselves are durable with the sync that ends
//! the session; a power cut before that loses them, which is a miss, and never shows half of one.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use cooper_snapshotter::{StepLock, Store};

use super::record::Record;
use crate::error::BuildError;
use crate::task::{self, Task};

/// So long a record waits for others, at most.
const GATHERING: Duration = Duration::from_millis(50);

/// A record whose layer is in the store, but maybe not durable yet.
pub struct Pending {
    /// The record.
    pub record: Record,
    /// The step's key.
    pub key: String,
    /// Name of the pointer for explanations.
    pub near: String,
    /// Held until the record can be read.
    pub lock: StepLock,
}

/// The records of one build on their way to disk.
#[derive(Default)]
pub struct Publisher {
    shared: Arc<Shared>,
    workers: Mutex<Vec<Task<Result<(), BuildError>>>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    hurried: Condvar,
}

#[derive(Default)]
struct Queue {
    pending: Vec<Pending>,
    worked_on: bool,
    /// Somebody waits for the records.
    hurry: bool,
}

impl Publisher {
    /// Hands over a record. It is published when its layer is durable.
    pub fn publish(&self, store: &Store, pending: Pending) {
        let mut queue = lock(&self.shared.queue);
        queue.pending.push(pending);
        if std::mem::replace(&mut queue.worked_on, true) {
            return;
        }
        drop(queue);
        let (store, shared) = (store.clone(), self.shared.clone());
        let worker = task::blocking("publish records", move || work(&store, &shared));
        lock(&self.workers).push(task::spawn(worker));
    }

    /// Waits until all records are published.
    pub async fn settle(&self) -> Result<(), BuildError> {
        lock(&self.shared.queue).hurry = true;
        self.shared.hurried.notify_all();
        loop {
            let next = lock(&self.workers).pop();
            match next {
                Some(worker) => worker.join().await??,
                None => return Ok(()),
            }
        }
    }
}

fn work(store: &Store, shared: &Shared) -> Result<(), BuildError> {
    loop {
        let batch = {
            let queue = lock(&shared.queue);
            let waited =
                shared.hurried.wait_timeout_while(queue, GATHERING, |q| !q.hurry && !q.pending.is_empty());
            let mut queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            queue.worked_on = !queue.pending.is_empty();
            std::mem::take(&mut queue.pending)
        };
        if batch.is_empty() {
            return Ok(());
        }
        let published = publish(store, batch);
        if published.is_err() {
            lock(&shared.queue).worked_on = false;
            return published;
        }
        store.end_mounts();
    }
}

fn publish(store: &Store, batch: Vec<Pending>) -> Result<(), BuildError> {
    store.sync()?;
    for Pending { record, key, near, lock } in batch {
        record.publish(store, &key, &near)?;
        drop(lock);
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
