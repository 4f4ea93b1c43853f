//! The store: blobs, layers, snapshots, and the facts that builds remember.
//!
//! A [`Store`] is a directory that any number of processes share. Nothing here knows Dockerfiles or registries.
//! Rules: what is visible is durable or recognisably not (see `epoch`); what is missing or damaged is a miss; readers
//! wait for nobody; what a live process uses is never collected. Everything is synchronous.

mod active;
mod attrs;
mod blobs;
mod cache_mounts;
mod chain;
mod changes;
mod copy;
mod emit;
mod epoch;
mod error;
mod export;
mod files;
mod layout;
mod merged;
mod meta;
mod pack;
mod partial;
mod parts;
mod pipe;
mod prune;
mod records;
mod roots;
mod scan;
mod session;
mod snapshots;
mod splice;
mod store;
mod stubs;
mod sync;
mod tidy;
mod tree;
mod unpack;
mod usage;
mod view;
mod xattrs;

pub use active::{Active, Announce};
pub use blobs::{BlobFile, BlobWriter};
pub use cache_mounts::{CacheMount, Sharing};
pub use chain::{BlobForm, Chain, ContentId, DiffId, LayerId, LayerInfo};
pub use error::{Error, Result};
pub use export::ExportOptions;
pub use partial::RESUMED_FROM_BYTES;
pub use prune::{ObjectKind, PruneOptions, PruneReport, Pruned};
pub use records::{ImageRecord, StepLock};
pub use splice::{Open, Splice, Take};
pub use store::{Mode, Store};
pub use stubs::{Stub, StubKind};
pub use tree::{TreeEntry, TreeKind, TreeManifest, TreeReader, path_order};
pub use unpack::{ExtractOptions, OpenLayer, Report, extract};
pub use usage::{DiskUsage, Usage};
pub use view::View;
pub use xattrs::{OWNER_NOTE, give_at, give_fd};
