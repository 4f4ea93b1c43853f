//! `--progress=quiet` and `none`: nothing but the output of a failed step at the end.

use std::time::Instant;

use cooper_builder::event::{Event, StepNumber};

use super::Renderer;
use super::steps::{Line, Steps};

/// Draws nothing.
pub struct Quiet;

impl Renderer for Quiet {
    fn event(&mut self, _event: &Event, _lines: &[Line], _steps: &Steps, _now: Instant) {}

    fn finish(&mut self, _rest: &[Line], _ended: &[StepNumber], _steps: &Steps, _now: Instant) {}

    fn shows_all_output(&self) -> bool {
        false
    }

    fn has_shown(&self, _step: StepNumber, _steps: &Steps) -> bool {
        false
    }
}
