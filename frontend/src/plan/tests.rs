//! Plans of whole files, with images from a table.

#![allow(clippy::unwrap_used)]

mod args;
mod config;
mod copy;
mod errors;
mod mounts;
mod onbuild;
mod remarks;
mod run;
mod stages;

use std::cell::RefCell;
use std::collections::BTreeMap;

use cooper_oci::config::{ContainerConfig, ImageConfig, RootFs};
use cooper_oci::{Digest, History, Platform};

use super::{PlanError, plan};
use crate::context;
use crate::graph::{
    CopyOp, Graph, ImageRequest, ImageResolver, ImageSource, MkdirOp, Op, PlanOptions, ResolveError,
    ResolvedImage, RunOp, Step, StepId,
};
use crate::parser::parse;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Images by short name; remembers what it was asked.
#[derive(Default)]
struct Images {
    known: BTreeMap<String, ImageConfig>,
    waves: RefCell<Vec<Vec<String>>>,
}

impl Images {
    fn new() -> Images {
        Images::default().with("busybox", busybox())
    }

    fn with(mut self, name: &str, config: ImageConfig) -> Images {
        self.known.insert(name.to_owned(), config);
        self
    }
}

impl ImageResolver for Images {
    fn resolve(&self, requests: &[ImageRequest]) -> Vec<Result<ResolvedImage, ResolveError>> {
        let names: Vec<String> = requests
            .iter()
            .map(|request| match &request.source {
                ImageSource::Registry(reference) => reference.familiar(),
                ImageSource::OciLayout { path, .. } => path.clone(),
            })
            .collect();
        self.waves.borrow_mut().push(names.clone());
        names
            .iter()
            .map(|name| match self.known.get(name) {
                Some(config) => {
                    Ok(ResolvedImage { manifest: Digest::sha256_of(name.as_bytes()), config: config.clone() })
                }
                None => Err(ResolveError { message: format!("{name}: not found"), hint: None }),
            })
            .collect()
    }
}

fn busybox() -> ImageConfig {
    ImageConfig {
        architecture: "amd64".into(),
        os: "linux".into(),
        created: Some("2020-01-01T00:00:00Z".into()),
        config: ContainerConfig {
            env: vec![PATH.into()],
            cmd: Some(vec!["sh".into()]),
            ..ContainerConfig::default()
        },
        history: vec![History { created_by: Some("base".into()), ..History::default() }],
        rootfs: RootFs::new(vec![Digest::sha256_of(b"base layer")]),
        ..ImageConfig::default()
    }
}

fn options() -> PlanOptions {
    PlanOptions { build_platform: Some(Platform::new("linux", "amd64", None)), ..PlanOptions::default() }
}

/// Options from flags: `key=value` build arguments.
fn with_args(args: &[(&str, &str)]) -> PlanOptions {
    let build_args = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    PlanOptions { build_args, ..options() }
}

fn with_contexts(flags: &[&str]) -> PlanOptions {
    let named_contexts = flags.iter().map(|flag| context::parse_flag(flag).unwrap()).collect();
    PlanOptions { named_contexts, ..options() }
}

fn try_plan(text: &str, options: &PlanOptions, images: &Images) -> Result<Graph, PlanError> {
    plan(&parse(text.as_bytes()).unwrap(), options, images)
}

fn planned(text: &str) -> Graph {
    planned_with(text, &options())
}

fn planned_with(text: &str, options: &PlanOptions) -> Graph {
    try_plan(text, options, &Images::new()).unwrap()
}

fn message(text: &str) -> String {
    message_with(text, &options())
}

fn message_with(text: &str, options: &PlanOptions) -> String {
    try_plan(text, options, &Images::new()).unwrap_err().message
}

/// Texts of the new history entries; those without a layer in brackets.
fn history(graph: &Graph) -> Vec<String> {
    graph.image.config.history[graph.image.base_history_len..]
        .iter()
        .map(|entry| {
            let text = entry.created_by.clone().unwrap();
            if entry.empty_layer { format!("({text})") } else { text }
        })
        .collect()
}

/// `L` for each history entry with a layer, `e` for each without.
fn layers(graph: &Graph) -> String {
    graph.image.config.history.iter().map(|entry| if entry.empty_layer { 'e' } else { 'L' }).collect()
}

fn steps(graph: &Graph) -> Vec<&Step> {
    graph.dag.node_weights().collect()
}

fn names(graph: &Graph) -> Vec<&str> {
    steps(graph).into_iter().map(|step| step.name.as_str()).collect()
}

fn runs(graph: &Graph) -> Vec<&RunOp> {
    steps(graph)
        .into_iter()
        .filter_map(|step| match &step.op {
            Op::Run(run) => Some(&**run),
            _ => None,
        })
        .collect()
}

fn copies(graph: &Graph) -> Vec<&CopyOp> {
    steps(graph)
        .into_iter()
        .filter_map(|step| match &step.op {
            Op::Copy(copy) => Some(&**copy),
            _ => None,
        })
        .collect()
}

fn mkdirs(graph: &Graph) -> Vec<&MkdirOp> {
    steps(graph)
        .into_iter()
        .filter_map(|step| match &step.op {
            Op::Mkdir(mkdir) => Some(mkdir),
            _ => None,
        })
        .collect()
}

fn op(graph: &Graph, id: StepId) -> &Op {
    &graph.dag[id].op
}

fn env(run: &RunOp) -> Vec<String> {
    run.env.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn label<'g>(graph: &'g Graph, name: &str) -> &'g str {
    &graph.image.config.config.labels[name]
}

fn rules(graph: &Graph) -> Vec<&str> {
    graph.warnings.iter().map(|warning| warning.rule.as_str()).collect()
}
