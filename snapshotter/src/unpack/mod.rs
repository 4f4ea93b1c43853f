//! Unpacking archives: layers into snapshots, and archives that a build adds into a root file system.

mod engine;
mod extract;
mod layer;
mod marks;
mod names;

pub use engine::Report;
pub use extract::{ExtractOptions, extract};
pub use layer::OpenLayer;
