//! ONBUILD triggers: instructions of a base that run at the start of the stages built on it.

use std::borrow::Cow;

use super::{Base, Origin, Planner};
use crate::ast::Command;
use crate::parser::parse_onbuild_trigger;
use crate::plan::PlanError;

impl Planner<'_> {
    /// Puts the triggers of a state's base in front of its instructions, once. True if they read from other states,
    /// which may need resolving.
    pub(super) fn add_triggers(&mut self, at: usize) -> Result<bool, PlanError> {
        let state = &self.states[at];
        if state.triggers_known {
            return Ok(false);
        }
        let span = state.span;
        let triggers = self.triggers_of(at);
        self.states[at].triggers_known = true;
        let mut planned = Vec::new();
        for trigger in triggers {
            let instruction = parse_onbuild_trigger(&trigger).map_err(PlanError::parse(span))?;
            planned.push(self.link(at, Cow::Owned(instruction), span, true)?);
        }
        let found_more = planned.iter().any(|command| command.sources.iter().any(Option::is_some));
        let state = &mut self.states[at];
        state.total_steps += planned.len();
        planned.append(&mut state.commands);
        state.commands = planned;
        Ok(found_more)
    }

    fn triggers_of(&self, at: usize) -> Vec<String> {
        let state = &self.states[at];
        match (&state.base, &state.origin) {
            // The stage's own ONBUILD lines count, not those that it got from its base.
            (Base::Stage(base), _) if !self.states[*base].replaced => {
                let own = self.states[*base].commands.iter().filter(|command| !command.trigger);
                own.filter_map(|command| match &command.instruction.command {
                    Command::OnBuild(onbuild) => Some(onbuild.trigger.value.clone()),
                    _ => None,
                })
                .collect()
            }
            (Base::Stage(base), _) => origin_triggers(self.states[*base].origin.as_ref()),
            (_, origin) => origin_triggers(origin.as_ref()),
        }
    }
}

fn origin_triggers(origin: Option<&Origin>) -> Vec<String> {
    match origin {
        Some(Origin::Image(_, config) | Origin::EmptyImage(_, config)) => config.config.on_build.clone(),
        _ => Vec::new(),
    }
}
