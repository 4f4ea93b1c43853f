//! Blobs on their way into the store.
//!
//! Each is fetched once at a time, however many steps want it, and so is a chain unpacked. What comes from a registry can be
//! read while it arrives: its layer is unpacked meanwhile. What comes out of that counts only when it has the diff ID; the blob itself, only when it has its digest.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use cooper_oci::{Descriptor, Digest, Reference};
use cooper_registry_client::WriteSink;
use cooper_snapshotter::{BlobWriter, Chain, Error, RESUMED_FROM_BYTES};
use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, watch};

use crate::assemble::open_layer_tar;
use crate::error::{BuildError, Kind};
use crate::growing::{Announcing, Growing};
use crate::image_source::{Origin, fetch_layer_and_tell};
use crate::session::Inner;
use crate::task;

/// The arrivals of one session.
#[derive(Default)]
pub struct Arrivals {
    open: Mutex<HashMap<Digest, Arc<Growing>>>,
    blobs: Turns<Digest>,
    chains: Turns<Digest>,
}

/// Who brings a thing: one at a time, and the next finds it there.
struct Turns<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash> Turns<K> {
    /// Waits for a turn, which lasts until the guard is dropped.
    async fn take(&self, key: &K) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(key.clone()).or_default().clone()
        };
        turn.lock_owned().await
    }
}

/// Takes an arrival off the list.
struct Listed<'a>(&'a Arrivals, &'a Digest);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner).remove(self.1);
    }
}

impl Arrivals {
    /// Reads a blob that is on its way, waiting for what is not there yet. `None` if it is not on its way.
    pub fn follow(&self, digest: &Digest, runtime: Handle) -> Option<Box<dyn Read + Send>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Box::new(open.get(digest)?.reader(0, runtime)))
    }

    fn list<'a>(&'a self, digest: &'a Digest, growing: Arc<Growing>) -> Listed<'a> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone(), growing);
        Listed(self, digest)
    }

    /// Waits until nobody else brings the blob.
    pub async fn blob_turn(&self, digest: &Digest) -> OwnedMutexGuard<()> {
        self.blobs.take(digest).await
    }

    /// Waits until nobody else unpacks the chain.
    pub async fn chain_turn(&self, id: &Digest) -> OwnedMutexGuard<()> {
        self.chains.take(id).await
    }
}

/// Brings one blob into the store; verified while it streams. `begun` is told when it can be followed. It must be the
/// caller's turn.
pub async fn pull_blob(
    session: &Arc<Inner>,
    reference: &Reference,
    descriptor: &Descriptor,
    begun: impl FnOnce() + Send,
) -> Result<(), BuildError> {
    let failed = |e: &dyn std::fmt::Display| {
        BuildError::new(Kind::Remote, format!("failed to fetch {} of {reference}: {e}", descriptor.digest))
    };
    let pull = async |writer: Announcing<BlobWriter>| {
        let digest = |writer: &Announcing<BlobWriter>| writer.get().digest();
        let held_bytes = writer.get().written();
        let sink = WriteSink::hashing(writer, digest, |writer| writer.restart(BlobWriter::restart));
        let mut sink = sink.holding(held_bytes);
        session.client().pull_blob(reference, descriptor, &mut sink).await.map_err(|e| failed(&e))?;
        sink.into_inner().await.ok_or_else(|| failed(&"the writer was lost"))
    };
    let (store, wanted) = (session.store.clone(), descriptor.clone());
    let writer = move || -> Result<BlobWriter, BuildError> {
        Ok(store.resumed_blob_writer(&wanted.digest, wanted.size)?)
    };
    let writer = if descriptor.size < RESUMED_FROM_BYTES {
        writer()?
    } else {
        // What is left of an earlier try is hashed.
        task::blocking("go on with a blob", writer).await?
    };
    let written = writer.written();
    let (growing, writer) = Growing::begun(writer.reader()?, writer, written);
    let first = {
        let _listed = session.arrivals.list(&descriptor.digest, growing.clone());
        begun();
        pull(writer).await
    };
    let writer = match first {
        // A mirror gave something else, and what was read of it cannot be taken back: again, for nobody.
        Err(_) if growing.is_outdated() => {
            let writer = session.store.blob_writer(Some(&descriptor.digest), Some(descriptor.size))?;
            pull(Growing::new(writer.reader()?, writer).1).await?
        }
        other => other?,
    };
    let writer = writer.finish().map_err(|e| failed(&e))?;
    task::blocking("keep blob", move || Ok(writer.commit().map(drop)?)).await
}

/// Brings all layers of a chain and unpacks them meanwhile. Returns what had to be left out, a line each.
pub async fn fetch_and_unpack(
    session: &Arc<Inner>,
    chain: Chain,
    origins: HashMap<Digest, Origin>,
) -> Result<Vec<String>, BuildError> {
    let origins = Arc::new(origins);
    let (mut fetches, mut gates) = (Vec::new(), HashMap::new());
    for (diff_id, origin) in origins.iter() {
        let (gate, opened) = watch::channel(false);
        gates.insert(diff_id.clone(), opened);
        fetches.push(fetch_layer_and_tell(session, origin, move || {
            gate.send_replace(true);
        }));
    }
    let runtime = Handle::current();
    let unpack = |gates: HashMap<Digest, watch::Receiver<bool>>| {
        let (session, chain, origins, runtime) =
            (session.clone(), chain.clone(), origins.clone(), runtime.clone());
        task::blocking("unpack layers", move || {
            let report = session.store.ensure_unpacked(&chain, &|diff_id| {
                if let Some(gate) = gates.get(diff_id) {
                    // An error: it could not even be begun, which the fetch tells better.
                    let _ = runtime.block_on(gate.clone().wait_for(|open| *open));
                }
                open_layer_tar(&session, diff_id, origins.get(diff_id).map(|o| &o.descriptor), &runtime)
            })?;
            Ok(report.warnings)
        })
    };
    let (fetched, unpacked) = tokio::join!(futures_util::future::try_join_all(fetches), unpack(gates));
    fetched?;
    let unpacked = match unpacked {
        // Perhaps what was followed was given up for a better one.
        Err(_) => unpack(HashMap::new()).await,
        warnings => warnings,
    };
    match unpacked {
        Err(error) => Err(drop_damaged(session, &chain, &origins, error).await),
        warnings => warnings,
    }
}

/// Looks for damage in forms of layers that were made here and have no snapshot, after an error. What is damaged is
/// removed, so that the next build makes it again.
async fn drop_damaged(
    session: &Arc<Inner>,
    chain: &Chain,
    origins: &Arc<HashMap<Digest, Origin>>,
    error: BuildError,
) -> BuildError {
    let (store, chain, origins) = (session.store.clone(), chain.clone(), origins.clone());
    let looked = task::blocking("look for damage", move || {
        let mut found = false;
        for diff_id in chain.layers().iter().filter(|diff_id| !origins.contains_key(*diff_id)) {
            for form in store.layer(diff_id)?.map(|info| info.blobs).unwrap_or_default() {
                found |= matches!(store.verify_blob(&form.digest), Err(Error::BlobDamaged(_)));
            }
        }
        Ok(found)
    });
    match looked.await {
        Ok(true) => error.hint("a layer in the store was damaged and is removed: run the same command again"),
        _ => error,
    }
}
