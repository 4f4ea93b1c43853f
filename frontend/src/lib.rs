//! (skeleton)

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

pub use plan::{PlanError, plan};
