//! Questions about a Dockerfile that are answered without building: its findings, its parameters, its targets.

use std::sync::Arc;

use cooper_frontend::ast::{Comment, Dockerfile, Source, Span, Stage};
use cooper_frontend::graph::{Graph, MountKind, Op, PlanWarning};
use cooper_frontend::lint;

use crate::build::read_files;
use crate::cancel::CancelToken;
use crate::context::main_context;
use crate::error::{BuildError, DockerfileText};
use crate::event::EventSender;
use crate::plan::{Planned, Purpose, plan_options};
use crate::request::BuildRequest;
use crate::session::Session;
use crate::task;

/// A remark on a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the rule.
    pub rule: String,
    /// What the rule asks for.
    pub description: &'static str,
    /// A page about the rule.
    pub url: Option<String>,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Option<Span>,
}

/// The answer to `--check`.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// The file.
    pub dockerfile: Arc<DockerfileText>,
    /// What was found, by place.
    pub findings: Vec<Finding>,
    /// Why it cannot be built at all.
    pub error: Option<BuildError>,
    /// Rules that were left out, because they need a base image that was not found.
    pub left_out: Vec<&'static str>,
}

/// A thing with a name that a build takes from its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The comment above it, without the name.
    pub description: String,
    /// Value that it has in this build; ARGs only.
    pub value: Option<String>,
    /// The build fails without it; secrets and agents only.
    pub required: bool,
    /// The instruction.
    pub span: Option<Span>,
}

/// The answer to `--call=outline`: what the target takes.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The file.
    pub dockerfile: Arc<DockerfileText>,
    /// Name of the target; empty if it has none.
    pub name: String,
    /// The comment above it, without the name.
    pub description: String,
    /// Its ARGs, by place.
    pub args: Vec<Parameter>,
    /// Secrets of its steps.
    pub secrets: Vec<Parameter>,
    /// Agents of its steps.
    pub ssh: Vec<Parameter>,
    /// Cache mounts of its steps.
    pub caches: Vec<Parameter>,
}

/// One stage, as `--call=targets` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name; empty if it has none.
    pub name: String,
    /// It is built if none is named.
    pub is_default: bool,
    /// The comment above it, without the name.
    pub description: String,
    /// What FROM says.
    pub base: String,
    /// What `FROM --platform` says.
    pub platform: String,
    /// The FROM line.
    pub span: Span,
}

/// The answer to `--call=targets`.
#[derive(Debug, Clone)]
pub struct Targets {
    /// The file.
    pub dockerfile: Arc<DockerfileText>,
    /// Its stages in order.
    pub targets: Vec<Target>,
}

impl Session {
    /// Checks a Dockerfile. Base images are looked up, but nothing is run or copied.
    pub async fn check(&self, request: BuildRequest) -> Result<CheckReport, BuildError> {
        let (dockerfile, planned) = self.look(request, Purpose::Check).await?;
        let mut findings: Vec<Finding> = Vec::new();
        let mut error = None;
        let mut left_out = Vec::new();
        for planned in planned {
            if left_out.is_empty() {
                left_out = planned.left_out;
            }
            for finding in planned.findings.into_iter().map(finding) {
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
            error = error.or(planned.graph.err());
        }
        let error = error.map(|e: BuildError| e.in_dockerfile(&dockerfile));
        Ok(CheckReport { dockerfile, findings, error, left_out })
    }

    /// Tells what the target takes.
    pub async fn outline(&self, request: BuildRequest) -> Result<Outline, BuildError> {
        let target = request.target.clone();
        let (dockerfile, planned) = self.look(request, Purpose::Build).await?;
        let (file, (graph, _)) = match planned.into_iter().next() {
            Some(Planned { file: Some(file), graph, .. }) => {
                (file, graph.map_err(|e| e.in_dockerfile(&dockerfile))?)
            }
            Some(Planned { graph: Err(e), .. }) => return Err(e.in_dockerfile(&dockerfile)),
            _ => return Err(BuildError::user("there is nothing to build")),
        };
        let stage = match &target {
            Some(name) => file.stages.iter().rfind(|stage| stage.name() == Some(&name.to_lowercase())),
            None => file.stages.last(),
        };
        let mut outline = Outline {
            dockerfile,
            name: stage.and_then(Stage::name).unwrap_or_default().to_owned(),
            description: stage.map(described).unwrap_or_default(),
            args: args(&file, &graph),
            secrets: Vec::new(),
            ssh: Vec::new(),
            caches: Vec::new(),
        };
        mounts(&graph, &mut outline);
        Ok(outline)
    }

    /// Lists the stages.
    pub async fn targets(&self, request: BuildRequest) -> Result<Targets, BuildError> {
        let files = self.files(request).await?;
        let dockerfile = files.dockerfile.clone();
        let file = cooper_frontend::parser::parse(&files.dockerfile_bytes).map_err(|e| {
            let error = BuildError::user(e.message).at(Some(e.span)).in_dockerfile(&dockerfile);
            match e.hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
        let last = file.stages.len().saturating_sub(1);
        let text =
            |text: Option<&cooper_frontend::ast::Text>| text.map(|t| t.value.clone()).unwrap_or_default();
        let targets = file.stages.iter().enumerate().map(|(at, stage)| Target {
            name: stage.name().unwrap_or_default().to_owned(),
            is_default: at == last,
            description: described(stage),
            base: stage.from.base.value.clone(),
            platform: text(stage.from.platform.as_ref()),
            span: stage.source.span,
        });
        Ok(Targets { dockerfile, targets: targets.collect() })
    }

    async fn files(&self, request: BuildRequest) -> Result<crate::build::Files, BuildError> {
        let (events, _) = EventSender::channel();
        let main = main_context::prepare(&self.0, request, &events, &CancelToken::new()).await?;
        let request = main.request.clone();
        task::blocking("read Dockerfile", move || read_files(&request)).await
    }

    /// Plans for all platforms.
    async fn look(
        &self,
        request: BuildRequest,
        purpose: Purpose,
    ) -> Result<(Arc<DockerfileText>, Vec<Planned>), BuildError> {
        let (events, _) = EventSender::channel();
        let main = main_context::prepare(&self.0, request, &events, &CancelToken::new()).await?;
        let request = main.request.clone();
        let files = {
            let request = request.clone();
            task::blocking("read Dockerfile", move || read_files(&request)).await?
        };
        let mut planned = Vec::new();
        let several = request.platforms.len() > 1;
        let platforms = request.platforms.iter().cloned().map(Some);
        let none = request.platforms.is_empty().then_some(None);
        for platform in platforms.chain(none) {
            let options = plan_options(&request, &files, platform, several);
            planned.push(self.plan(&request, &files, options, purpose).await?);
        }
        Ok((files.dockerfile.clone(), planned))
    }
}

fn finding(warning: PlanWarning) -> Finding {
    Finding {
        description: lint::description(&warning.rule).unwrap_or_default(),
        url: lint::documentation_url(&warning.rule),
        rule: warning.rule,
        message: warning.message,
        span: warning.span,
    }
}

fn args(file: &Dockerfile, graph: &Graph) -> Vec<Parameter> {
    let mut args: Vec<Parameter> = Vec::new();
    // The later definition of a name is nearer to the target.
    for arg in graph.args.iter().rev() {
        if args.iter().any(|known| known.name == arg.name) {
            continue;
        }
        args.push(Parameter {
            name: arg.name.clone(),
            description: comment_at(file, arg.span, &arg.name),
            value: arg.value.clone(),
            required: false,
            span: Some(arg.span),
        });
    }
    args.sort_by_key(|arg| arg.span.map(|span| span.start));
    args
}

fn mounts(graph: &Graph, outline: &mut Outline) {
    for step in graph.dag.node_weights() {
        let Op::Run(run) = &step.op else { continue };
        for mount in &run.mounts {
            let (list, name, required) = match &mount.kind {
                MountKind::Secret { id, required, .. } => (&mut outline.secrets, id, *required),
                MountKind::Ssh { id, required, .. } => (&mut outline.ssh, id, *required),
                MountKind::Cache { id, .. } => (&mut outline.caches, id, false),
                _ => continue,
            };
            match list.iter_mut().find(|known| known.name == *name) {
                Some(known) => known.required |= required,
                None => list.push(Parameter {
                    name: name.clone(),
                    description: String::new(),
                    value: None,
                    required,
                    span: step.span,
                }),
            }
        }
    }
}

/// The comment above a stage that starts with its name.
fn described(stage: &Stage) -> String {
    let name = stage.name().unwrap_or_default();
    description(&stage.source.comments, name)
}

fn comment_at(file: &Dockerfile, span: Span, name: &str) -> String {
    let of_stages = file.stages.iter().flat_map(|stage| &stage.instructions);
    let mut sources = file.global_args.iter().chain(of_stages).map(|instruction| &instruction.source);
    sources
        .find(|source: &&Source| source.span == span)
        .map(|s| description(&s.comments, name))
        .unwrap_or_default()
}

fn description(comments: &[Comment], name: &str) -> String {
    let described = |comment: &Comment| {
        let rest = comment.text.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name))?.len();
        comment.text[rest..].strip_prefix(' ').map(|text| text.trim().to_owned())
    };
    if name.is_empty() { String::new() } else { comments.iter().find_map(described).unwrap_or_default() }
}
