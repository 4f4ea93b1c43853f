//! The one place that calls the builder: opens the store, runs operations, turns errors into failures.

use std::sync::Arc;

use cooper_builder::event::EventSender;
use cooper_builder::request::{BuildOutcome, BuildRequest};
use cooper_builder::{BuildError, CheckReport, Outline, SessionOptions, Targets};
use cooper_oci::Platform;
use cooper_sandbox::Level;
use serde_json::Value;

pub use cooper_builder::distribution;
pub use cooper_builder::{CancelToken, ImageSummary, Saved};
use distribution::{Images, RegistryOptions, Watch};

use crate::args::Global;
use crate::failure::{Failure, Kind, Place, Source, with_causes};

/// Must be the first thing in `main`: a step's process starts as this program and becomes something else here.
pub fn early() {
    cooper_sandbox::maybe_init();
    cooper_builder::forbid_core_dumps();
}

/// What [`enter`] found.
pub struct Entered {
    unprivileged: bool,
}

/// Goes where the store can be used. Must be called before there are threads.
pub fn enter() -> Result<Entered, Failure> {
    match cooper_sandbox::enter() {
        Ok(level) => Ok(Entered { unprivileged: !matches!(level, Level::Root) }),
        Err(e) => Err(Failure::new(Kind::Config, with_causes(&e))),
    }
}

/// An open store.
#[derive(Clone)]
pub struct Session(cooper_builder::Session);

impl Session {
    /// Opens (and makes, if need be) the store.
    pub fn open(
        global: &Global,
        entered: &Entered,
        registries: &RegistryOptions,
    ) -> Result<Session, Failure> {
        let options = SessionOptions {
            root: global.root.clone(),
            unprivileged: entered.unprivileged,
            registries: registries.clone(),
        };
        Ok(Session(cooper_builder::Session::open(&options)?))
    }

    /// Access to images by name, those of this store among them.
    pub fn images_by_name(&self, registries: &RegistryOptions) -> Images {
        Images::new(registries, Some(self.0.clone()))
    }

    /// Lets `watch` know of transfers.
    pub fn watched_by(&self, watch: &Arc<Watch>) {
        self.0.watched_by(watch);
    }

    /// Ends all transfers of a command that failed: registries forget the uploads that it leaves, but after Ctrl-C
    /// alone those that a later push could go on with.
    pub async fn end_transfers(&self, why: &Failure) {
        self.0.end_transfers(why.kind == Kind::Cancelled).await;
    }

    /// Builds.
    pub async fn build(
        &self,
        request: BuildRequest,
        events: EventSender,
        cancel: CancelToken,
    ) -> Result<BuildOutcome, Failure> {
        Ok(Box::pin(self.0.build(request, events, cancel)).await?)
    }

    /// Checks a Dockerfile.
    pub async fn check(&self, request: BuildRequest) -> Result<CheckReport, Failure> {
        Ok(Box::pin(self.0.check(request)).await?)
    }

    /// What a target takes.
    pub async fn outline(&self, request: BuildRequest) -> Result<Outline, Failure> {
        Ok(Box::pin(self.0.outline(request)).await?)
    }

    /// The stages of a Dockerfile.
    pub async fn targets(&self, request: BuildRequest) -> Result<Targets, Failure> {
        Ok(Box::pin(self.0.targets(request)).await?)
    }

    /// Brings an image into the store; its digest.
    pub async fn pull(
        &self,
        name: &str,
        platform: Option<Platform>,
        events: EventSender,
    ) -> Result<String, Failure> {
        Ok(self.0.pull(name, platform, events).await?.digest.to_string())
    }

    /// Sends an image to its registry; its digest.
    pub async fn push(&self, name: &str, events: EventSender) -> Result<String, Failure> {
        Ok(Box::pin(self.0.push(name, events)).await?.digest.to_string())
    }

    /// All named images.
    pub fn images(&self) -> Result<Vec<ImageSummary>, Failure> {
        Ok(self.0.images()?)
    }

    /// Gives an image a second name.
    pub fn tag(&self, from: &str, to: &str) -> Result<(), Failure> {
        Ok(self.0.tag(from, to)?)
    }

    /// Takes a name away; gives it back in full.
    pub fn remove_image(&self, name: &str) -> Result<String, Failure> {
        Ok(self.0.remove_image(name)?)
    }

    /// What is known of an image.
    pub fn inspect(&self, name: &str) -> Result<Value, Failure> {
        Ok(self.0.inspect(name)?)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let kind = match error.kind() {
            cooper_builder::Kind::User => Kind::User,
            cooper_builder::Kind::Config => Kind::Config,
            cooper_builder::Kind::Remote => Kind::Remote,
            cooper_builder::Kind::Absent => Kind::Absent,
            cooper_builder::Kind::Cancelled => Kind::Cancelled,
            _ => Kind::Internal,
        };
        Failure {
            kind,
            message: with_causes(&error),
            hint: error.advice().map(str::to_owned),
            place: error.span().map(|span| {
                let source =
                    error.dockerfile().map(|d| Source { name: d.name.clone(), text: d.text.clone() });
                Box::new(Place { span, source })
            }),
            step: error.step(),
        }
    }
}

impl Session {
    /// Frees space; how many bytes.
    pub fn prune(&self, all: bool) -> Result<u64, Failure> {
        let options = cooper_builder::PruneOptions { all, ..Default::default() };
        Ok(self.0.prune(&options)?.freed_bytes)
    }

    /// Bytes held, by kind.
    pub fn disk_usage(&self) -> Result<Vec<(String, u64)>, Failure> {
        let usage = self.0.disk_usage()?;
        Ok([
            ("blobs", usage.blobs),
            ("snapshots", usage.snapshots),
            ("steps", usage.steps),
            ("cache mounts", usage.mounts),
            ("context indexes", usage.contexts),
            ("temporary", usage.temporary),
        ]
        .map(|(name, part)| (name.to_owned(), part.bytes))
        .to_vec())
    }
}

/// Checks credentials with a registry and keeps them; says where.
pub async fn login(
    server: &str,
    username: &str,
    password: &str,
    registries: &RegistryOptions,
) -> Result<Saved, Failure> {
    Ok(cooper_builder::login(server, username, password, registries).await?)
}

/// Forgets credentials; whether there were any.
pub async fn logout(server: &str) -> Result<bool, Failure> {
    Ok(cooper_builder::logout(server).await?)
}
