//! Dockerfiles: text in, a graph of build steps out.
//!
//! [`parser::parse`] makes the syntax tree ([`ast`]), [`plan()`] makes the build [`graph`] of one target from it, and
//! [`lint`] checks it. Beside them stand what only Dockerfiles have: variable expansion ([`expand`]), ignore files
//! ([`dockerignore`]), Go's path patterns ([`gopath`]) and named contexts ([`context`]).
//!
//! Nothing here reads files, uses the network or starts a process: bytes come in, and base images come from
//! a [`graph::ImageResolver`].

pub mod ast;
pub mod context;
pub mod dockerignore;
pub mod error;
pub mod expand;
pub mod gopath;
pub mod graph;
mod instruction;
pub mod lint;
pub mod parser;
pub mod plan;
pub mod print;
mod remote;
pub mod syntax;

pub use plan::{EpochSource, Noticed, PlanError, epoch_source, plan, plan_and_notice};
