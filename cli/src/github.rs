//! GitHub Actions: inputs, workflow commands, groups of output, the summary page.
//!
//! The action (action.yml) hands its inputs over as `INPUT_*` variables; `cooper ci github` turns them into flags of
//! `build`. All that the runner reads is written here, and nothing that a step writes is taken for a command.

pub mod inputs;
pub mod log;
pub mod outputs;
pub mod summary;
pub mod workflow;
