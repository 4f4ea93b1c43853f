//! From the syntax tree to the build graph.
//!
//! Owns the meaning of a Dockerfile: which stages and images there are and which of them a target needs
//! (`stages`), what each instruction makes of its stage's state (`dispatch` and its neighbours), and the image
//! config that comes out. Asks an [`ImageResolver`] for base images, all that can be known at once in one call.
//! Must not: read files, use the network, run anything, or look at the clock.

mod args;
mod copy;
mod dispatch;
mod env;
mod epoch;
mod expose;
mod gofmt;
mod metadata;
mod mounts;
mod nodes;
mod remarks;
mod run;
mod signal;
mod stages;
#[cfg(test)]
mod tests;

pub use epoch::{EpochSource, epoch_source};

use crate::ast::{Dockerfile, Span};
use crate::error::ParseError;
use crate::expand::ExpandError;
use crate::graph::{Graph, ImageResolver, PlanOptions, PlanWarning};

/// The Dockerfile cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// The part of the Dockerfile that is to blame.
    pub span: Option<Span>,
    /// What is wrong, worded as BuildKit does.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl PlanError {
    /// An error at a place, without a hint.
    pub fn new(span: impl Into<Option<Span>>, message: impl Into<String>) -> PlanError {
        PlanError { span: span.into(), message: message.into(), hint: None }
    }

    /// Adds a hint.
    pub fn with_hint(self, hint: impl Into<Option<String>>) -> PlanError {
        PlanError { hint: hint.into(), ..self }
    }

    fn expand(span: Span) -> impl FnOnce(ExpandError) -> PlanError {
        move |error| PlanError::new(span, error.to_string())
    }

    fn parse(span: Span) -> impl FnOnce(ParseError) -> PlanError {
        move |error| PlanError { span: Some(span), message: error.message, hint: error.hint }
    }
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PlanError {}

/// What planning found out even if it failed.
#[derive(Debug, Clone, Default)]
pub struct Noticed {
    /// What the user should know, as in [`Graph::warnings`].
    pub warnings: Vec<PlanWarning>,
    /// Places in the file of the stages that the target needs, as in [`Graph::stages`]; empty if planning did not come
    /// so far.
    pub stages: Vec<usize>,
}

/// Plans the build of one target for one platform.
pub fn plan(
    file: &Dockerfile,
    options: &PlanOptions,
    resolver: &dyn ImageResolver,
) -> Result<Graph, PlanError> {
    plan_and_notice(file, options, resolver, &mut Noticed::default())
}

/// Plans as [`plan`] does, and tells what was noticed before an error, too.
pub fn plan_and_notice(
    file: &Dockerfile,
    options: &PlanOptions,
    resolver: &dyn ImageResolver,
    noticed: &mut Noticed,
) -> Result<Graph, PlanError> {
    if file.stages.is_empty() {
        return Err(PlanError::new(None, "dockerfile contains no stages to build"));
    }
    let mut planner = stages::Planner::new(file, options, resolver)?;
    let outcome = plan_target(&mut planner, noticed);
    noticed.warnings.clone_from(&planner.warnings);
    let outcome = outcome?;
    let graph = dispatch::finish(planner, outcome, noticed.stages.clone());
    noticed.warnings.clone_from(&graph.warnings);
    Ok(graph)
}

fn plan_target(
    planner: &mut stages::Planner<'_>,
    noticed: &mut Noticed,
) -> Result<dispatch::Outcome, PlanError> {
    planner.add_stages()?;
    let target = planner.find_target()?;
    planner.link_stages()?;
    let count = planner.file.stages.len();
    let needed = |planner: &stages::Planner<'_>| -> Vec<usize> {
        planner.reachable(target).into_iter().filter(|at| *at < count).collect()
    };
    noticed.stages = needed(planner);
    planner.resolve(target)?;
    // Triggers of base images may need more.
    noticed.stages = needed(planner);
    let used: Vec<String> =
        noticed.stages.iter().flat_map(|at| planner.states[*at].used_args.iter().cloned()).collect();
    planner.found_args = planner.args.used_definitions(&used);
    dispatch::dispatch_all(planner, target)
}
