//! Sources from the network, fetched from servers on this machine by whole builds.

#![allow(clippy::unwrap_used)]

mod fixture;
mod http;
mod server;
