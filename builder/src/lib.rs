//! The solver, build contexts, image assembly and exporters.
//!
//! [`Session::build`] takes a [`request::BuildRequest`] through four stations: read the Dockerfile, plan it into a
//! graph, solve the graph step by step from cache or by work, export the result. Everything that lasts goes through
//! the snapshotter's store; everything that a person sees leaves as [`event::Event`]s. No terminal, no flags here.

mod advice;
mod arrivals;
mod assemble;
mod behind;
mod build;
mod cancel;
mod check;
pub mod context;
pub mod copy;
pub mod distribution;
mod epoch;
mod error;
pub mod event;
mod export;
mod forms;
mod growing;
mod image_source;
mod images;
mod layout;
mod making;
mod ops;
mod plan;
mod remote;
mod replace;
pub mod request;
mod rootfs;
mod session;
mod solver;
pub mod ssh;
mod stand_in;
mod store_care;
mod task;
mod transfer;

pub use cancel::CancelToken;
pub use check::{CheckReport, Finding, Outline, Parameter, Target, Targets};
pub use cooper_registry_client::Saved;
pub use cooper_snapshotter::{DiskUsage, PruneOptions, PruneReport};
pub use error::{BuildError, DockerfileText, Kind};
pub use images::ImageSummary;
pub use session::{Session, SessionOptions, default_root, forbid_core_dumps};
pub use store_care::{login, logout};
