//! Stages and images: who is built on whom, who copies from whom, and which of them a target needs.
//!
//! Rules of names: FROM finds the nearest earlier stage, letter case counted; `--from` and `--target` find the last
//! stage of that name, letter case aside; `--from` of COPY also takes a stage's number. A named context replaces a
//! stage of its name and an image of its name, but never `scratch`.

mod onbuild;
mod resolve;

use std::borrow::Cow;
use std::collections::HashMap;

use cooper_oci::{Platform, Reference};
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::Dfs;

use super::PlanError;
use super::args::BuildArgs;
use super::dispatch::Outcome;
use super::env::EnvList;
use super::mounts;
use super::nodes::Nodes;
use crate::ast::{Command, Dockerfile, Instruction, Span, Stage, Text};
use crate::context;
use crate::dockerignore::Matcher;
use crate::error::{did_you_mean, nearest};
use crate::expand::Expander;
use crate::graph::{ImageResolver, NamedContext, NoCache, PlanOptions, PlanWarning, PlannedArg};

pub(super) use resolve::Origin;

/// Everything that planning knows.
pub(super) struct Planner<'a> {
    pub file: &'a Dockerfile,
    pub options: &'a PlanOptions,
    pub resolver: &'a dyn ImageResolver,
    pub expander: Expander,
    pub args: BuildArgs,
    /// Platform of the result.
    pub target_platform: Platform,
    pub ignore: Option<Matcher>,
    pub nodes: Nodes,
    /// The file's stages in order, then images that `--from` names.
    pub states: Vec<State<'a>>,
    pub results: Vec<Option<Outcome>>,
    pub warnings: Vec<PlanWarning>,
    /// ARGs of stages that were dispatched, and those that a FROM used.
    pub found_args: Vec<PlannedArg>,
    by_name: HashMap<String, usize>,
    references: HashMap<String, usize>,
}

/// A stage, or an image that `--from` names.
#[derive(Debug)]
pub(super) struct State<'a> {
    /// `None` for an image.
    pub ast: Option<&'a Stage>,
    /// How step names call the stage; empty if there is only one.
    pub label: String,
    /// The FROM, or the instruction that names the image.
    pub span: Span,
    pub base: Base,
    /// What FROM says, expanded.
    pub base_name: String,
    /// `FROM --platform`
    pub platform: Option<Platform>,
    /// A named context has taken the stage's place: its instructions are not run.
    pub replaced: bool,
    /// ONBUILD triggers of the base, then the stage's own instructions.
    pub commands: Vec<Planned<'a>>,
    /// States that the instructions read from.
    pub dependencies: Vec<(usize, Span)>,
    pub origin: Option<Origin>,
    pub ignore_cache: bool,
    /// Global ARGs that FROM uses.
    pub used_args: Vec<String>,
    /// How many steps the progress shows.
    pub total_steps: usize,
    triggers_known: bool,
}

/// An instruction with the states that its `--from` flags name.
#[derive(Debug, Clone)]
pub(super) struct Planned<'a> {
    pub instruction: Cow<'a, Instruction>,
    /// One for a COPY, one for each mount of a RUN.
    pub sources: Vec<Option<usize>>,
    pub trigger: bool,
}

/// What a state starts from.
#[derive(Debug, Clone)]
pub(super) enum Base {
    Stage(usize),
    Scratch,
    Image(Reference),
    /// A named context, by its key.
    Context(String, NamedContext),
}

impl<'a> Planner<'a> {
    pub fn new(
        file: &'a Dockerfile,
        options: &'a PlanOptions,
        resolver: &'a dyn ImageResolver,
    ) -> Result<Planner<'a>, PlanError> {
        let expander = Expander::new(file.escape());
        let build_platform = options.build_platform.clone().unwrap_or_else(Platform::host).normalized();
        let target_platform =
            options.platform.as_ref().map_or_else(|| build_platform.clone(), Platform::normalized);
        let args = BuildArgs::new(file, options, &expander, &target_platform, &build_platform)?;
        let ignore = match &options.dockerignore {
            Some((text, name)) => Some(
                Matcher::from_file(text.as_bytes())
                    .map_err(|error| PlanError::new(None, format!("failed parsing {name}: {error}")))?,
            ),
            None => None,
        };
        Ok(Planner {
            file,
            options,
            resolver,
            expander,
            args,
            target_platform,
            ignore,
            nodes: Nodes::default(),
            states: Vec::new(),
            results: Vec::new(),
            warnings: Vec::new(),
            found_args: Vec::new(),
            by_name: HashMap::new(),
            references: HashMap::new(),
        })
    }

    /// Takes in the FROM lines.
    pub fn add_stages(&mut self) -> Result<(), PlanError> {
        for stage in &self.file.stages {
            self.add_stage(stage)?;
        }
        self.bind_targets()
    }

    /// The stage to build.
    pub fn find_target(&self) -> Result<usize, PlanError> {
        let Some(name) = self.options.target.as_deref().filter(|name| !name.is_empty()) else {
            return Ok(self.states.len() - 1);
        };
        self.by_name.get(&name.to_lowercase()).copied().ok_or_else(|| {
            let hint = did_you_mean(name, self.stage_names()).or_else(|| {
                let names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
                sorted_list(names).map(|names| format!("the stages are: {names}"))
            });
            PlanError::new(None, format!("target stage \"{name}\" could not be found")).with_hint(hint)
        })
    }

    /// Finds what each instruction reads from, and refuses circles.
    pub fn link_stages(&mut self) -> Result<(), PlanError> {
        for at in 0..self.states.len() {
            let Some(stage) = self.states[at].ast.filter(|_| !self.states[at].replaced) else { continue };
            for instruction in &stage.instructions {
                let planned = self.link(at, Cow::Borrowed(instruction), instruction.source.span, false)?;
                self.states[at].commands.push(planned);
            }
        }
        self.refuse_circles()?;
        if self.states.len() == 1 {
            self.states[0].label.clear();
        }
        Ok(())
    }

    /// All states that `target` needs, in order.
    pub fn reachable(&self, target: usize) -> Vec<usize> {
        let graph = self.edges(true);
        let mut found: Vec<usize> = Vec::new();
        let mut walk = Dfs::new(&graph, NodeIndex::new(target));
        while let Some(node) = walk.next(&graph) {
            found.push(node.index());
        }
        found.sort_unstable();
        found
    }

    pub fn warn(&mut self, rule: &str, span: Span, message: String) {
        let warning = PlanWarning { rule: rule.to_owned(), message, span: Some(span) };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn stage_names(&self) -> impl Iterator<Item = &str> {
        self.states
            .iter()
            .filter(|state| state.ast.is_some() && !state.label.is_empty())
            .map(|state| &*state.label)
    }

    fn add_stage(&mut self, stage: &'a Stage) -> Result<(), PlanError> {
        let from = &stage.from;
        let span = from.base.span;
        let base =
            self.expander.word(from.base.as_str(), &self.args.global).map_err(PlanError::expand(span))?;
        self.warn_undeclared(&base.unmatched, stage.source.span);
        if base.value.is_empty() {
            let message = format!("base name ({}) should not be blank", from.base.as_str());
            let hint = base.used.iter().chain(&base.unmatched).next().map(|name| {
                format!(
                    "give {name} a value: `ARG {name}=...` before the first FROM, or --build-arg {name}=..."
                )
            });
            return Err(PlanError::new(span, message).with_hint(hint));
        }
        let mut used_args = base.used;
        let platform = match &from.platform {
            Some(text) => Some(self.stage_platform(text, stage, &mut used_args)?),
            None => None,
        };
        let at = self.states.len();
        let context = stage.name().and_then(|name| {
            let platform = platform.as_ref().unwrap_or(&self.target_platform);
            context::lookup(&self.options.named_contexts, name, platform)
        });
        let replaced = context.is_some();
        let base_of = match context {
            Some((key, context)) => Base::Context(key.to_owned(), context.clone()),
            None => self.base(&base.value, platform.as_ref(), span)?,
        };
        let moving = stage.instructions.iter().filter(|instruction| {
            matches!(
                instruction.command,
                Command::Add(_) | Command::Copy(_) | Command::Run(_) | Command::Workdir(_)
            )
        });
        let shows_from = !matches!(base_of, Base::Stage(_)) && base.value != "scratch";
        let total_steps = moving.count() + usize::from(shows_from);
        self.states.push(State {
            ast: Some(stage),
            label: stage.name().map_or_else(|| format!("stage-{at}"), str::to_owned),
            span: stage.source.span,
            base: base_of,
            base_name: base.value,
            platform,
            replaced,
            commands: Vec::new(),
            dependencies: Vec::new(),
            origin: None,
            ignore_cache: self.ignores_cache(stage.name()),
            used_args,
            total_steps: if replaced { 0 } else { total_steps },
            triggers_known: replaced,
        });
        if let Some(name) = stage.name() {
            self.by_name.insert(name.to_owned(), at);
        }
        Ok(())
    }

    fn ignores_cache(&self, name: Option<&str>) -> bool {
        match &self.options.no_cache {
            NoCache::Never => false,
            NoCache::Always => true,
            NoCache::Stages(names) => {
                name.is_some_and(|name| names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)))
            }
        }
    }

    fn stage_platform(
        &mut self,
        text: &Text,
        stage: &Stage,
        used: &mut Vec<String>,
    ) -> Result<Platform, PlanError> {
        let expanded =
            self.expander.word(text.as_str(), &self.args.global).map_err(PlanError::expand(text.span))?;
        used.extend(expanded.used.iter().cloned());
        self.warn_undeclared(&expanded.unmatched, stage.source.span);
        let hint = || expanded.unmatched.iter().find_map(|name| did_you_mean(name, self.args.global.names()));
        if expanded.value.is_empty() {
            let message = format!("empty platform value from expression {}", text.as_str());
            return Err(PlanError::new(text.span, message).with_hint(hint()));
        }
        Platform::parse(&expanded.value).map_err(|error| {
            let message = format!("failed to parse platform {}: {error}", text.as_str());
            PlanError::new(text.span, message).with_hint(hint())
        })
    }

    fn warn_undeclared(&mut self, names: &[String], span: Span) {
        for name in
            names.iter().filter(|name| !self.args.declared.contains(name)).cloned().collect::<Vec<_>>()
        {
            let known = self.args.declared.iter().map(String::as_str).chain(self.args.global.names());
            let suggestion =
                nearest(&name, known).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            self.warn(
                "UndefinedArgInFrom",
                span,
                format!("FROM argument '{name}' is not declared{suggestion}"),
            );
        }
    }

    /// What a name in FROM, or one in `--from` that is no stage, stands for.
    fn base(&self, name: &str, platform: Option<&Platform>, span: Span) -> Result<Base, PlanError> {
        if let Some(stage) = self.by_name.get(name) {
            return Ok(Base::Stage(*stage));
        }
        if name == "scratch" {
            return Ok(Base::Scratch);
        }
        let reference: Reference = name.parse().map_err(|error| {
            let hint = did_you_mean(name, self.stage_names());
            PlanError::new(span, format!("failed to parse stage name \"{name}\": {error}")).with_hint(hint)
        })?;
        let platform = platform.unwrap_or(&self.target_platform);
        if let Some((key, context)) = context::lookup(&self.options.named_contexts, name, platform) {
            return Ok(Base::Context(key.to_owned(), context.clone()));
        }
        let tag = reference.tag_or_latest().map(str::to_owned);
        Ok(Base::Image(Reference { tag, ..reference }))
    }

    /// Contexts of the form `target:NAME` become stages.
    fn bind_targets(&mut self) -> Result<(), PlanError> {
        for at in 0..self.states.len() {
            let Base::Context(key, NamedContext::Target(name)) = &self.states[at].base else { continue };
            let stage = self.by_name.get(&name.to_lowercase()).copied().ok_or_else(|| {
                PlanError::new(
                    None,
                    format!("build context {key}: target stage \"{name}\" could not be found"),
                )
            })?;
            self.states[at].base = Base::Stage(stage);
        }
        Ok(())
    }

    /// Finds the sources of one instruction of state `at`. Its `--from` flags add dependencies.
    fn link(
        &mut self,
        at: usize,
        instruction: Cow<'a, Instruction>,
        span: Span,
        trigger: bool,
    ) -> Result<Planned<'a>, PlanError> {
        let sources: Vec<Option<usize>> = match &instruction.command {
            Command::Copy(copy) => match &copy.from {
                Some(from) => vec![Some(self.copy_source(from, span)?)],
                None => Vec::new(),
            },
            Command::Run(run) => {
                let mut sources = Vec::new();
                for mount in &run.mounts {
                    let from = mount.from.as_deref().filter(|_| mounts::reads_files(mount));
                    sources.push(from.map(|name| self.named_source(name, span)).transpose()?);
                }
                sources
            }
            _ => Vec::new(),
        };
        self.states[at].dependencies.extend(sources.iter().flatten().map(|source| (*source, span)));
        Ok(Planned { instruction, sources, trigger })
    }

    fn copy_source(&mut self, from: &Text, span: Span) -> Result<usize, PlanError> {
        let name = from.as_str();
        let plain = self.expander.word(name, &EnvList::default()).map_err(PlanError::expand(span))?;
        if plain.value != name {
            return Err(PlanError::new(
                span,
                "variable expansion is not supported for --from, define a new stage with FROM using ARG from global \
                 scope as a workaround",
            ));
        }
        if let Ok(index) = name.parse::<i64>() {
            let stages = self.file.stages.len();
            return usize::try_from(index)
                .ok()
                .filter(|index| *index < stages)
                .ok_or_else(|| PlanError::new(span, format!("invalid stage index {index}")));
        }
        self.named_source(name, span)
    }

    fn named_source(&mut self, name: &str, span: Span) -> Result<usize, PlanError> {
        if let Some(stage) = self.by_name.get(&name.to_lowercase()) {
            return Ok(*stage);
        }
        if let Some(reference) = self.references.get(name) {
            return Ok(*reference);
        }
        let base = self.base(name, None, span)?;
        let at = self.states.len();
        self.states.push(State {
            ast: None,
            label: String::new(),
            span,
            base,
            base_name: name.to_owned(),
            platform: None,
            replaced: false,
            commands: Vec::new(),
            dependencies: Vec::new(),
            origin: None,
            ignore_cache: false,
            used_args: Vec::new(),
            total_steps: 0,
            triggers_known: true,
        });
        self.references.insert(name.to_owned(), at);
        self.bind_targets()?;
        Ok(at)
    }

    fn edges(&self, with_bases: bool) -> DiGraph<(), ()> {
        let mut graph = DiGraph::with_capacity(self.states.len(), self.states.len());
        for _ in &self.states {
            graph.add_node(());
        }
        for (at, state) in self.states.iter().enumerate() {
            for (dependency, _) in &state.dependencies {
                graph.update_edge(NodeIndex::new(at), NodeIndex::new(*dependency), ());
            }
            // A base stands above its stage, except where a context names a stage as target.
            if let Base::Stage(base) = state.base
                && (with_bases || base >= at)
            {
                graph.update_edge(NodeIndex::new(at), NodeIndex::new(base), ());
            }
        }
        graph
    }

    fn refuse_circles(&self) -> Result<(), PlanError> {
        let graph = self.edges(false);
        let circles: Vec<Vec<NodeIndex>> = tarjan_scc(&graph)
            .into_iter()
            .filter(|nodes| nodes.len() > 1 || graph.contains_edge(nodes[0], nodes[0]))
            .collect();
        for (at, state) in self.states.iter().enumerate() {
            let mut walk = Dfs::new(&graph, NodeIndex::new(at));
            while let Some(node) = walk.next(&graph) {
                let Some(circle) = circles.iter().find(|circle| circle.contains(&node)) else { continue };
                let dependencies = &self.states[node.index()].dependencies;
                let span = dependencies
                    .iter()
                    .find(|(source, _)| circle.contains(&NodeIndex::new(*source)))
                    .map_or(state.span, |(_, span)| *span);
                let message = format!("circular dependency detected on stage: {}", state.label);
                return Err(PlanError::new(span, message));
            }
        }
        Ok(())
    }
}

/// Names in order, as one text; `None` if there are none.
fn sorted_list(mut names: Vec<&str>) -> Option<String> {
    names.sort_unstable();
    (!names.is_empty()).then(|| names.join(", "))
}
