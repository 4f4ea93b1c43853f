//! (skeleton)

pub mod ast;
pub mod error;
pub mod expand;
pub mod parser;
