//! The client against registries: Debian's docker-registry, and one that misbehaves by script.
#![allow(clippy::unwrap_used, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "tests start servers of their own")]
#![allow(clippy::format_push_string, clippy::unnecessary_wraps)]

mod auth;
mod certificates;
mod chaos;
mod common;
mod copy;
mod credentials;
mod debian;
mod early;
mod hosts;
mod http2;
mod journal;
mod others;
mod parallel;
mod presets;
mod proxies;
mod pull;
mod push;
mod ranges;
mod reach;
mod referrers;
mod rows_auth;
mod rows_endless;
mod rows_pull;
mod rows_push;
mod rows_stream;
mod tls;
mod transport;
mod web;
