//! (skeleton)

pub mod ast;
pub mod error;
pub mod expand;
mod instruction;
pub mod parser;
