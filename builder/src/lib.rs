//! The solver, build contexts, image assembly and exporters.

pub mod event;
pub mod request;
