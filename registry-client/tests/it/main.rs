//! The client against registries: Debian's docker-registry, and one that misbehaves by script.
#![allow(clippy::unwrap_used, missing_docs)]

mod auth;
mod common;
mod credentials;
mod debian;
mod pull;
mod push;
