//! Runs through a stage's instructions and keeps its state.
//!
//! The environment is one list that ENV and ARG both write to, so that the later of them wins in expansion and in
//! RUN, while the image's own list takes ENV only.

use cooper_oci::config::ImageConfig;
use cooper_oci::{History, Platform, format_rfc3339};

use super::PlanError;
use super::env::{self, EnvList, split_pair};
use super::nodes::{MAIN_CONTEXT, source};
use super::stages::{Base, Origin, Planned, Planner};
use crate::ast::{Command, Instruction, Span, Text};
use crate::error::nearest;
use crate::expand::Env;
use crate::gopath;
use crate::graph::{GitOp, Graph, HttpOp, ImagePlan, NamedContext, Op, Step, StepId};
use crate::remote;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const HISTORY_COMMENT: &str = "buildkit.dockerfile.v0";

/// The state of a stage, at last its result.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// The step that holds the files.
    pub root: StepId,
    pub env: EnvList,
    pub image: ImageConfig,
    pub platform: Platform,
    /// ARGs in order, repeated ones too.
    pub args: Vec<(String, Option<String>)>,
    /// WORKDIR; empty if the image has none.
    pub cwd: String,
    /// A WORKDIR of this file was seen.
    pub workdir_seen: bool,
    /// History entries that belong to the base image.
    pub base_history_len: usize,
}

/// A stage under way.
pub(super) struct StageRun<'p, 'a> {
    pub planner: &'p mut Planner<'a>,
    pub at: usize,
    pub state: Outcome,
    pub label: String,
    pub stage: String,
    pub ignore_cache: bool,
    /// Where FROM stands: the place of triggers.
    pub from_span: Span,
    pub cmd_seen: bool,
    /// The instruction under way.
    pub span: Span,
    pub trigger: bool,
    /// Destinations of the stage's COPY and ADD instructions so far.
    pub copied: Vec<(String, Span)>,
    steps_shown: usize,
    total_steps: usize,
}

/// Dispatches all stages that `target` needs.
pub(super) fn dispatch_all(planner: &mut Planner, target: usize) -> Result<Outcome, PlanError> {
    planner.results = planner.states.iter().map(|_| None).collect();
    for at in planner.reachable(target) {
        ensure(planner, at, &mut Vec::new())?;
    }
    planner.results[target]
        .take()
        .ok_or_else(|| PlanError::new(planner.states[target].span, "target stage was not planned"))
}

/// Dispatches a state after those that it reads from.
fn ensure(planner: &mut Planner, at: usize, under_way: &mut Vec<usize>) -> Result<(), PlanError> {
    if planner.results[at].is_some() {
        return Ok(());
    }
    let state = &planner.states[at];
    if under_way.contains(&at) {
        let message = format!("circular dependency detected on stage: {}", state.label);
        return Err(PlanError::new(state.span, message));
    }
    under_way.push(at);
    if let Base::Stage(base) = state.base {
        ensure(planner, base, under_way)?;
    }
    for (dependency, _) in planner.states[at].dependencies.clone() {
        if planner.is_defined_before(dependency, at) {
            ensure(planner, dependency, under_way)?;
        }
    }
    under_way.pop();
    let outcome = StageRun::start(planner, at).run()?;
    planner.results[at] = Some(outcome);
    Ok(())
}

impl Planner<'_> {
    /// Whether instructions of state `user` may read from state `source`: it stands above, or has no instructions.
    pub(super) fn is_defined_before(&self, source: usize, user: usize) -> bool {
        let state = &self.states[source];
        state.ast.is_none() || state.replaced || source < user
    }
}

/// Makes the graph of a planned target.
pub(super) fn finish(planner: Planner, outcome: Outcome, stages: Vec<usize>) -> Graph {
    let mut config = outcome.image;
    for (name, value) in &planner.options.labels {
        config.config.labels.insert(name.clone(), value.clone());
    }
    if let Some(want) = &planner.options.platform {
        let want = want.normalized();
        let same = want.os == config.os && want.architecture == config.architecture;
        config.os = want.os;
        config.architecture = want.architecture;
        if want.variant.is_some() || !same {
            config.variant = want.variant;
        }
        if want.os_version.is_some() || !same {
            config.os_version = want.os_version;
        }
        if !want.os_features.is_empty() {
            config.os_features = want.os_features;
        }
    } else if config.os.is_empty() {
        // A context without a config stands in for the target.
        config.os.clone_from(&planner.target_platform.os);
        config.architecture.clone_from(&planner.target_platform.architecture);
        config.variant.clone_from(&planner.target_platform.variant);
    }
    let normal = Platform::new(&config.os, &config.architecture, config.variant.as_deref());
    config.os = normal.os;
    config.architecture = normal.architecture;
    config.variant = normal.variant;
    Graph {
        dag: planner.nodes.dag,
        result: outcome.root,
        image: ImagePlan {
            config,
            base_history_len: outcome.base_history_len,
            source_date_epoch: planner.args.epoch,
        },
        warnings: planner.warnings,
        stages,
        args: planner.found_args,
    }
}

impl<'p, 'a> StageRun<'p, 'a> {
    fn start(planner: &'p mut Planner<'a>, at: usize) -> StageRun<'p, 'a> {
        let state = &planner.states[at];
        let inherited = match state.base {
            Base::Stage(base) => planner.results[base].clone(),
            _ => None,
        };
        let stage = match state.ast {
            Some(ast) => ast.name().map_or_else(|| at.to_string(), str::to_owned),
            None => String::new(),
        };
        let (label, span) = (state.label.clone(), state.span);
        let (ignore_cache, total_steps) = (state.ignore_cache, state.total_steps);
        let empty = Outcome {
            root: StepId::end(),
            env: EnvList::default(),
            image: ImageConfig::default(),
            platform: planner.target_platform.clone(),
            args: Vec::new(),
            cwd: String::new(),
            workdir_seen: false,
            base_history_len: 0,
        };
        let is_inherited = inherited.is_some();
        let mut run = StageRun {
            planner,
            at,
            state: inherited.unwrap_or(empty),
            label,
            stage,
            ignore_cache,
            from_span: span,
            cmd_seen: false,
            span,
            trigger: false,
            copied: Vec::new(),
            steps_shown: 0,
            total_steps,
        };
        if !is_inherited {
            run.take_base();
        }
        let state = &run.planner.states[at];
        if state.ast.is_some() && !state.replaced {
            run.state.root = run.planner.nodes.as_root(run.state.root, &run.stage, span);
        }
        run
    }

    fn run(mut self) -> Result<Outcome, PlanError> {
        self.state.image.config.on_build.clear();
        let has_instructions =
            self.planner.states[self.at].ast.is_some() && !self.planner.states[self.at].replaced;
        if !has_instructions {
            return Ok(self.state);
        }
        let history = self.state.image.history.iter().filter_map(|entry| entry.created_by.as_ref());
        self.charge(self.state.env.bytes() + history.map(String::len).sum::<usize>())?;
        self.take_image_config();
        for planned in std::mem::take(&mut self.planner.states[self.at].commands) {
            self.trigger = planned.trigger;
            self.span = if planned.trigger { self.from_span } else { planned.instruction.source.span };
            let steps = self.planner.nodes.dag.node_count();
            self.dispatch(&planned)?;
            self.charge(self.grown(steps))?;
        }
        Ok(self.state)
    }

    /// How much an instruction has put into the plan by copies of variables: in the names and environments of the
    /// steps behind the first `steps`, and in the history.
    fn grown(&self, steps: usize) -> usize {
        let added = self.planner.nodes.dag.raw_nodes().iter().skip(steps).map(|node| {
            let env = if matches!(node.weight.op, Op::Run(_)) { self.state.env.bytes() } else { 0 };
            node.weight.name.len() + env
        });
        let history = self.state.image.history.last().and_then(|entry| entry.created_by.as_ref());
        added.sum::<usize>() + history.map_or(0, String::len)
    }

    /// Refuses a file whose plan grows out of proportion.
    pub fn charge(&self, bytes: usize) -> Result<(), PlanError> {
        self.planner.expander.charge(bytes).map_err(|message| PlanError::new(self.span, message))
    }

    /// Starts from the state's own base.
    fn take_base(&mut self) {
        let index = self.at;
        let base_name = self.planner.states[index].base_name.clone();
        match self.planner.states[index].origin.clone() {
            Some(Origin::Image(op, config)) => {
                self.state.platform.clone_from(&op.platform);
                let name = match &self.planner.states[index].base {
                    Base::Context(key, _) => format!("[context {key}] {}", image_name(&op.source)),
                    _ => self.step_name(&format!("FROM {}", image_name(&op.source))),
                };
                let (stage, span) = (self.stage.clone(), self.from_span);
                self.state.root = self.planner.nodes.image(op, |op| Step {
                    op,
                    name,
                    stage: (!stage.is_empty()).then_some(stage),
                    span: Some(span),
                    ignore_cache: false,
                });
                self.state.base_history_len = config.history.len();
                self.state.image = *config;
            }
            Some(Origin::EmptyImage(platform, config)) => {
                self.state.root = self.planner.nodes.scratch();
                self.state.platform = platform;
                self.state.base_history_len = config.history.len();
                self.state.image = *config;
            }
            Some(Origin::Files(key, context)) => {
                self.state.root = self.files_root(&key, &context);
                if let Some(platform) = self.planner.states[index].platform.clone() {
                    self.state.platform = platform;
                }
                if !self.planner.states[index].replaced {
                    self.state.image = empty_image(&self.state.platform);
                }
            }
            Some(Origin::Scratch) => {
                self.state.root = self.planner.nodes.scratch();
                self.state.image = empty_image(&self.state.platform);
            }
            None => debug_assert!(false, "{base_name} was not resolved"),
        }
    }

    fn files_root(&mut self, key: &str, context: &NamedContext) -> StepId {
        let nodes = &mut self.planner.nodes;
        match context {
            NamedContext::Git(url) => {
                // Checked when the context was read.
                let query = remote::git_query(url).unwrap_or_default();
                let keep_git_dir = query.keep_git_dir.unwrap_or(false);
                let op = GitOp { url: url.clone(), keep_git_dir, checksum: query.checksum };
                nodes.git(op, format!("[context {key}] load git source {url}"))
            }
            NamedContext::Http(url) => {
                let op = HttpOp { url: url.clone(), checksum: None, filename: Some(MAIN_CONTEXT.to_owned()) };
                nodes.http(op, format!("[context {key}] {url}"))
            }
            NamedContext::Local(_) => nodes.local(key),
            // Images and targets were resolved before.
            _ => nodes.scratch(),
        }
    }

    /// Lets the image's config set the stage's variables and directory.
    fn take_image_config(&mut self) {
        let config = &mut self.state.image.config;
        let has_path = config.env.iter().any(|pair| split_pair(pair).0 == "PATH");
        if !has_path && self.state.platform.os != "windows" {
            config.env.push(format!("PATH={DEFAULT_PATH}"));
        }
        for pair in &self.state.image.config.env {
            let (name, value) = split_pair(pair);
            self.state.env.set(name, value);
        }
        if !self.state.image.config.working_dir.is_empty() {
            let path = self.state.image.config.working_dir.clone();
            self.enter(&path);
        }
    }

    fn dispatch(&mut self, planned: &Planned) -> Result<(), PlanError> {
        let instruction: &Instruction = &planned.instruction;
        match &instruction.command {
            Command::Run(run) => self.run_command(run, &instruction.source, &planned.sources),
            Command::Copy(copy) => self.copy(copy, &instruction.source, &planned.sources),
            Command::Add(add) => self.add(add, &instruction.source),
            Command::Workdir(path) => self.workdir(path, &instruction.source),
            other => self.metadata(other),
        }
    }

    /// Makes an error at the instruction under way; inside a trigger the FROM is to blame.
    pub fn error(&self, span: Span, message: impl Into<String>) -> PlanError {
        PlanError::new(self.place(span), message)
    }

    /// Where `span` is in this file: triggers have places in a text of their own.
    pub fn place(&self, span: Span) -> Span {
        if self.trigger { self.from_span } else { span }
    }

    /// Expands a text that stays one word.
    pub fn word(&mut self, text: &Text) -> Result<String, PlanError> {
        self.word_at(text.as_str(), text.span)
    }

    pub fn word_at(&mut self, text: &str, span: Span) -> Result<String, PlanError> {
        let place = self.place(span);
        let expanded = self.planner.expander.word(text, &self.state.env).map_err(PlanError::expand(place))?;
        self.warn_unset(&expanded.unmatched);
        Ok(expanded.value)
    }

    pub fn optional_word(&mut self, text: Option<&Text>) -> Result<Option<String>, PlanError> {
        let expanded = text.map(|text| self.word(text)).transpose()?;
        Ok(expanded.filter(|value| !value.is_empty()))
    }

    /// Warns of variables that were expanded but are not set.
    pub fn warn_unset(&mut self, names: &[String]) {
        for name in names {
            let declared = self.state.args.iter().any(|(arg, _)| arg == name);
            if declared || name.starts_with("BUILDKIT_SBOM_SCAN_") {
                continue;
            }
            let suggestion = nearest(name, self.state.env.names())
                .map(|near| format!(" (did you mean ${near}?)"))
                .unwrap_or_default();
            let message = format!("Usage of undefined variable '${name}'{suggestion}");
            let span = self.span;
            self.planner.warn("UndefinedVar", span, message);
        }
    }

    /// Adds a history entry.
    pub fn commit(&mut self, created_by: String, with_layer: bool) {
        self.state.image.history.push(History {
            created: self.planner.args.epoch.map(|seconds| format_rfc3339(seconds, 0)),
            created_by: Some(created_by),
            comment: Some(HISTORY_COMMENT.to_owned()),
            empty_layer: !with_layer,
            ..History::default()
        });
    }

    /// Adds a step of this stage on top of what its operation reads.
    pub fn add_step(&mut self, op: Op, name: String, ignore_cache: bool, inputs: &[StepId]) -> StepId {
        let step = Step { op, name, stage: Some(self.stage.clone()), span: Some(self.span), ignore_cache };
        self.planner.nodes.add(step, inputs)
    }

    /// A step without a stage, such as a source.
    pub fn add_source(&mut self, op: Op, name: &str) -> StepId {
        self.planner.nodes.add(source(op, name.to_owned()), &[])
    }

    /// `[stage 2/5] RUN …`; counts the step.
    pub fn step_name(&mut self, text: &str) -> String {
        if self.total_steps == 0 {
            return text.to_owned();
        }
        self.steps_shown += 1;
        let mut prefix = String::new();
        if self.planner.options.multi_platform {
            prefix = format!("{} ", self.state.platform);
        }
        if !self.label.is_empty() {
            prefix = format!("{prefix}{} ", self.label);
        }
        let width = self.total_steps.to_string().len();
        let onbuild = if self.trigger { "ONBUILD " } else { "" };
        format!("[{prefix}{:>width$}/{}] {onbuild}{text}", self.steps_shown, self.total_steps)
    }

    /// An instruction's text for people: keyword in upper case, variables put in.
    pub fn shown(&self, original: &str, masked: &[&str]) -> String {
        let expanded = env::show(original, |name| {
            if masked.contains(&name) {
                Some("****".to_owned())
            } else {
                self.state.env.get(name).map(str::to_owned)
            }
        });
        match expanded.split_once([' ', '\t']) {
            Some((keyword, rest)) => format!("{} {rest}", keyword.to_uppercase()),
            None => expanded.to_uppercase(),
        }
    }
}

/// The name of a heredoc as that of a file in a directory of its own.
pub(super) fn heredoc_file_name(name: &str) -> Result<String, String> {
    let clean = gopath::join(&["/", name]);
    match clean.trim_start_matches('/') {
        bare if !bare.is_empty() && !bare.contains('/') => Ok(bare.to_owned()),
        _ => Err(format!("heredoc \"{name}\" cannot be the name of a file")),
    }
}

fn image_name(source: &crate::graph::ImageSource) -> String {
    match source {
        crate::graph::ImageSource::Registry(reference) => reference.to_string(),
        crate::graph::ImageSource::OciLayout { path, tag, digest } => {
            let tag = tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
            let digest = digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
            format!("oci-layout://{path}{tag}{digest}")
        }
    }
}

fn empty_image(platform: &Platform) -> ImageConfig {
    let mut image = ImageConfig {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        os_version: platform.os_version.clone(),
        os_features: platform.os_features.clone(),
        variant: platform.variant.clone(),
        ..ImageConfig::default()
    };
    image.config.working_dir.push('/');
    if platform.os != "windows" {
        image.config.env = vec![format!("PATH={DEFAULT_PATH}")];
    }
    image
}
