//! Build checks that need only the syntax tree.
//!
//! Rules that need expansion, base images or the ignore file are checked by the planner; [`Filter`] serves both, and
//! [`all_findings`] puts them together. What a finding is called, says and points at is BuildKit's, except for the
//! rules whose names start with `Cooper`; how it is shown is up to the caller.
//!
//! Must not: change a tree, or know build arguments.

use std::collections::BTreeMap;

use crate::ast::{Command, Comment, Dockerfile, Instruction, Span, Stage, WarningKind};
use crate::graph::PlanWarning;
use crate::plan::Noticed;

mod credentials;
mod filter;
mod from;
mod rules;
mod secrets;
pub(crate) mod shell;
mod steps;
#[cfg(test)]
mod tests;

pub(crate) use credentials::secret_kind;
pub use filter::{Filter, documentation_url, violation_message};
pub use rules::{counts_as_violation, description};

/// Something that is allowed but should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the rule, as in `# check=skip=NAME`.
    pub rule: &'static str,
    /// The instruction that is meant.
    pub span: Span,
    /// What is wrong with it.
    pub message: String,
}

/// Checks a file. `reached` tells which stages (by index) the target needs: some rules look only at those.
/// The findings are sorted by place.
pub fn lint(file: &Dockerfile, filter: &Filter, reached: &dyn Fn(usize) -> bool) -> Vec<Finding> {
    let mut linter = Linter { filter, findings: Vec::new() };
    for warning in &file.warnings {
        match warning.kind {
            WarningKind::EmptyContinuation => {
                linter.report("NoEmptyContinuation", &[], warning.span, "Empty continuation line");
            }
        }
    }
    linter.casing(file);
    linter.stage_names(file);
    from::default_bases(&mut linter, file);
    for instruction in &file.global_args {
        linter.instruction(instruction);
    }
    for (index, stage) in file.stages.iter().enumerate() {
        from::stage(&mut linter, stage, file.escape());
        for instruction in &stage.instructions {
            linter.instruction(instruction);
        }
        if reached(index) {
            linter.needed_stage(stage);
        }
    }
    linter.findings.sort_by_key(|finding| (finding.span.start, finding.rule));
    linter.findings
}

/// Everything that is to be said about a file: what the tree shows and what planning noticed, filtered, each once,
/// sorted by place. `given` tells which ARGs have a value from the command line.
pub fn all_findings(
    file: &Dockerfile,
    filter: &Filter,
    noticed: &Noticed,
    given: &dyn Fn(&str) -> bool,
) -> Vec<PlanWarning> {
    let mut linter = Linter { filter, findings: lint(file, filter, &|at| noticed.stages.contains(&at)) };
    for at in &noticed.stages {
        if let Some(stage) = file.stages.get(*at) {
            steps::stage(&mut linter, file, stage, given);
        }
    }
    let of_the_tree = linter.findings.into_iter().map(|Finding { rule, span, message }| PlanWarning {
        rule: rule.to_owned(),
        message,
        span: Some(span),
    });
    let planned =
        noticed.warnings.iter().filter(|warning| filter.allows(&warning.rule, warning.comments(file)));
    let mut all: Vec<PlanWarning> = Vec::new();
    for finding in of_the_tree.chain(planned.cloned()) {
        if !all.contains(&finding) {
            all.push(finding);
        }
    }
    all.sort_by(|a, b| {
        let place = |finding: &PlanWarning| finding.span.map(|span| span.start);
        (place(a), &a.rule).cmp(&(place(b), &b.rule))
    });
    all
}

struct Linter<'a> {
    filter: &'a Filter,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn report(&mut self, rule: &'static str, comments: &[Comment], span: Span, message: impl Into<String>) {
        if self.filter.allows(rule, comments) {
            self.findings.push(Finding { rule, span, message: message.into() });
        }
    }

    /// All keywords in upper case, or all in lower case; most decide. Comments above an instruction do not matter.
    fn casing(&mut self, file: &Dockerfile) {
        let keywords: Vec<(&str, Span)> = file
            .stages
            .iter()
            .flat_map(|stage| {
                std::iter::once(&stage.source).chain(stage.instructions.iter().map(|i| &i.source))
            })
            .map(|source| (source.keyword.as_str(), source.span))
            .collect();
        let lower = keywords.iter().filter(|(word, _)| *word == word.to_lowercase()).count();
        let upper = keywords.iter().filter(|(word, _)| *word == word.to_uppercase()).count();
        let most_are_lower = lower > upper;
        for (word, span) in keywords {
            let (right, case) = if most_are_lower {
                (word == word.to_lowercase(), "lowercase")
            } else {
                (word == word.to_uppercase(), "uppercase")
            };
            if !right {
                let message =
                    format!("Command '{word}' should match the case of the command majority ({case})");
                self.report("ConsistentInstructionCasing", &[], span, message);
            }
        }
    }

    fn stage_names(&mut self, file: &Dockerfile) {
        for (index, stage) in file.stages.iter().enumerate() {
            let Some(name) = stage.name() else { continue };
            let span = stage.source.span;
            if matches!(name, "scratch" | "context") {
                let message = format!("Stage name should not use the same name as reserved stage \"{name}\"");
                self.report("ReservedStageName", &[], span, message);
            }
            if file.stages[..index].iter().any(|earlier| earlier.name() == Some(name)) {
                let message = format!("Duplicate stage name \"{name}\", stage names should be unique");
                self.report("DuplicateStageName", &[], span, message);
            }
        }
    }

    fn instruction(&mut self, instruction: &Instruction) {
        let source = &instruction.source;
        match &instruction.command {
            Command::Maintainer(_) => {
                let message = "Maintainer instruction is deprecated in favor of using label";
                self.report("MaintainerDeprecated", &source.comments, source.span, message);
            }
            Command::Arg(arg) => {
                let names: Vec<&str> = arg.definitions.iter().map(|d| d.name.as_str()).collect();
                self.description("ARG", &names, &source.comments, source.span);
            }
            _ => {}
        }
    }

    /// A comment directly above a stage or ARG describes it, and starts with its name.
    fn description(&mut self, keyword: &str, names: &[&str], comments: &[Comment], span: Span) {
        let (Some(comment), [first, others @ ..]) = (comments.last(), names) else { return };
        let word = comment.text.split(' ').next().unwrap_or_default();
        if names.contains(&word) {
            return;
        }
        let example = if others.is_empty() { first } else { "<arg_key>" };
        let message = format!("Comment for {keyword} should follow the format: `# {example} <description>`");
        self.report("InvalidDefinitionDescription", comments, span, message);
    }

    /// Rules for stages that are built.
    fn needed_stage(&mut self, stage: &Stage) {
        let mut last: BTreeMap<&str, Span> = BTreeMap::new();
        for Instruction { source, command } in &stage.instructions {
            let written = source.keyword.as_str();
            match command {
                Command::Cmd(_) | Command::Entrypoint(_) | Command::Healthcheck(_) => {
                    // The earlier one is the one that does nothing.
                    if let Some(ignored) = last.insert(command.keyword(), source.span) {
                        let message = format!(
                            "Multiple {written} instructions should not be used in the same stage because only the \
                             last one will be used"
                        );
                        self.report("MultipleInstructionsDisallowed", &source.comments, ignored, message);
                    }
                }
                Command::Env(env) | Command::Label(env) if env.legacy => {
                    let message = format!(
                        "\"{written} key=value\" should be used instead of legacy \"{written} key value\" format"
                    );
                    self.report("LegacyKeyValueFormat", &source.comments, source.span, message);
                }
                _ => {}
            }
            let names: Vec<&str> = match command {
                Command::Env(env) => env.pairs.iter().map(|pair| pair.name.as_str()).collect(),
                Command::Arg(arg) => {
                    arg.definitions.iter().map(|definition| definition.name.as_str()).collect()
                }
                _ => continue,
            };
            for name in names.into_iter().filter(|name| secrets::looks_secret(name)) {
                let keyword = command.keyword();
                let message =
                    format!("Do not use ARG or ENV instructions for sensitive data ({keyword} \"{name}\")");
                self.report("SecretsUsedInArgOrEnv", &source.comments, source.span, message);
            }
        }
    }
}
