//! A client for OCI registries: resolve, pull, push, mount, copy, list and delete, with credentials and mirrors.
//!
//! It knows no store: what it pulls goes into a [`BlobSink`], what it pushes comes from a
//! [`BlobSource`], both handed in by the caller. It is async on tokio.
//!
//! What callers can rely on:
//! - bytes are a manifest or a blob only after size and digest were checked;
//! - a credential is sent to its registry's origin, and to token services that may have it, only;
//! - passing failures are tried again with growing pauses, `Retry-After` is honoured, transfers go on
//!   where they broke off, with a journal ([`ClientBuilder::journal`]) also in another process;
//! - what other tools set up on a machine holds, if asked for ([`Hosts::from_environment`]);
//! - everything a registry can send has a limit (see [`Limits`]).
//!
//! ```no_run
//! use cooper_oci::Reference;
//! use cooper_registry_client::{Client, Credentials, Document};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder().credentials(Credentials::from_environment()).build();
//! let reference: Reference = "busybox:1.36".parse()?;
//! let resolved = client.resolve(&reference).await?;
//! if let Document::Manifest(manifest) = resolved.parse()? {
//!     for layer in &manifest.layers {
//!         let mut bytes = Vec::new();
//!         client.pull_blob(&reference, layer, &mut bytes).await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Pushing, with a blob that another repository may have:
//!
//! ```no_run
//! use cooper_oci::{Descriptor, Reference, media};
//! use cooper_registry_client::{Client, FileSource, PushOptions};
//!
//! # async fn example(layer: Descriptor, manifest: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder().build();
//! let reference: Reference = "localhost:5000/app:latest".parse()?;
//! let options = PushOptions { mount_from: vec!["base".into()], ..PushOptions::default() };
//! client.push_blob(&reference, &layer, &FileSource("layer.tar.gz".into()), &options).await?;
//! client.push_manifest(&reference, media::OCI_MANIFEST, manifest).await?;
//! # Ok(())
//! # }
//! ```

mod auth;
mod blocking;
mod buffers;
mod call;
mod cancel;
mod causes;
mod certificate;
mod circuit;
mod client;
mod copy;
mod endpoint;
mod error;
mod file_source;
mod hosts;
mod index;
mod journal;
mod limits;
mod manifest;
mod manifest_check;
mod manifest_push;
mod notice;
mod pages;
mod places;
mod pool;
mod progress;
mod proxy;
mod pull;
mod push;
mod ranges;
mod reach;
mod redirect;
mod referrers;
mod relay;
mod resolve;
mod retry;
mod secret;
mod segments;
mod sent;
mod session;
mod sink;
mod source;
mod tags;
mod transport;
mod unfinished;
mod upload;
mod uploads;
mod web;

pub use auth::{Credential, CredentialError, Credentials, Saved, login, logout, save_credential};
pub use cancel::Cancel;
pub use client::{Client, ClientBuilder};
pub use copy::{Copied, CopyOptions};
pub use error::{Answer, Error, ErrorKind, RegistryError, Result, Target};
pub use file_source::FileSource;
pub use hosts::{Access, HostFiles, Hosts, HostsError, Place, Trust};
pub use index::index_of;
pub use limits::Limits;
pub use manifest::{Document, ResolvedManifest};
pub use notice::{Notice, NoticeObserver};
pub use progress::{Direction, Observer, Progress};
pub use push::{PushOptions, Pushed};
pub use reach::NetworkPolicy;
pub use relay::RegistrySource;
pub use retry::{RetryPolicy, Sleeper, TokioSleeper};
pub use secret::Secret;
pub use sink::{AsyncWriteSink, BlobSink, WriteSink};
pub use source::{BlobSource, ByteStream, ReadSource};
pub use web::{Journey, Web};
