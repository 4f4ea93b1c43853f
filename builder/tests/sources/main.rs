//! Sources from the network, fetched from servers on this machine by whole builds.

#![allow(clippy::unwrap_used)]

mod contexts;
mod epoch;
mod fixture;
mod git;
mod http;
mod repository;
mod server;
