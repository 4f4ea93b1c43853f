//! The parser, the printer and the planner on Dockerfiles shaped like those of real projects: `testdata/corpus`.
//!
//! Each file is valid by BuildKit's rules. The resolver knows every image and says that all of them look like Alpine;
//! one whose name ends in `onbuild` has triggers.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use cooper_frontend::ast::{Command, Dockerfile, Instruction};
use cooper_frontend::graph::{
    Graph, ImageRequest, ImageResolver, ImageSource, PlanOptions, ResolveError, ResolvedImage,
};
use cooper_frontend::lint::{Filter, all_findings, description};
use cooper_frontend::parser::parse;
use cooper_frontend::print::print;
use cooper_frontend::{Noticed, plan, plan_and_notice};
use cooper_oci::config::{ContainerConfig, ImageConfig};
use cooper_oci::{Digest, History, Platform};
use petgraph::algo::is_cyclic_directed;
use regex::Regex;

const FEWEST_FILES: usize = 200;

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

static SPAN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"Span \{[^}]*\}").unwrap());

/// Every image exists.
struct Alpine;

impl ImageResolver for Alpine {
    fn resolve(&self, requests: &[ImageRequest]) -> Vec<Result<ResolvedImage, ResolveError>> {
        requests.iter().map(|request| Ok(image(request))).collect()
    }
}

fn image(request: &ImageRequest) -> ResolvedImage {
    let ImageSource::Registry(reference) = &request.source else { panic!("{request:?}") };
    let mut on_build = Vec::new();
    if reference.tag.as_deref().is_some_and(|tag| tag.ends_with("onbuild")) {
        let triggers = ["ARG MODE=production", "COPY package.json ./", "RUN install --mode=$MODE"];
        on_build = triggers.map(str::to_owned).to_vec();
    }
    let layer = format!("{reference} for {}", request.platform);
    let mut config = ImageConfig {
        created: Some("2024-05-22T18:18:12Z".into()),
        architecture: request.platform.architecture.clone(),
        os: request.platform.os.clone(),
        variant: request.platform.variant.clone(),
        config: ContainerConfig {
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()],
            cmd: Some(vec!["/bin/sh".into()]),
            working_dir: "/".into(),
            on_build,
            ..ContainerConfig::default()
        },
        history: vec![
            History { created_by: Some("ADD rootfs.tar.gz / # buildkit".into()), ..History::default() },
            History { created_by: Some("CMD [\"/bin/sh\"]".into()), empty_layer: true, ..History::default() },
        ],
        ..ImageConfig::default()
    };
    config.rootfs.diff_ids = vec![Digest::sha256_of(layer.as_bytes())];
    ResolvedImage { manifest: Digest::sha256_of(format!("manifest of {layer}").as_bytes()), config }
}

/// A file's name below the corpus, and its bytes.
struct File {
    name: String,
    text: Vec<u8>,
}

fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/corpus");
    let list = |directory: &Path| {
        let entries =
            fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let read = |path: PathBuf| File {
        name: path.strip_prefix(&root).unwrap().display().to_string(),
        text: fs::read(&path).unwrap(),
    };
    let stacks = list(&root);
    let paths = stacks.iter().flat_map(|stack| list(stack));
    paths.filter(|path| path.extension().is_some_and(|end| end == "Dockerfile")).map(read).collect()
}

/// Runs a check on all files and tells all that fail, not only the first.
fn each(check: impl Fn(&File) -> Result<(), String>) {
    let complaints: Vec<String> =
        files().iter().filter_map(|file| Some(format!("{}: {}", file.name, check(file).err()?))).collect();
    assert!(complaints.is_empty(), "{} files:\n{}", complaints.len(), complaints.join("\n"));
}

fn read(text: &[u8]) -> Result<Dockerfile, String> {
    parse(text).map_err(|error| format!("{}: {error}", error.span))
}

fn options(platform: &str, target: Option<&str>) -> PlanOptions {
    PlanOptions {
        target: target.map(str::to_owned),
        platform: Some(Platform::parse(platform).unwrap()),
        build_platform: Some(Platform::parse("linux/amd64").unwrap()),
        allow_network_host: true,
        allow_insecure: true,
        ..PlanOptions::default()
    }
}

fn makes_a_layer(instruction: &Instruction) -> bool {
    matches!(instruction.command, Command::Run(_) | Command::Copy(_) | Command::Add(_))
}

/// The graph has no cycle, its result is in it, and so is each step of the stage that was asked for.
fn check_graph(graph: &Graph, target: usize, file: &Dockerfile) -> Result<(), String> {
    if is_cyclic_directed(&graph.dag) {
        return Err("the graph has a cycle".into());
    }
    if graph.dag.node_weight(graph.result).is_none() {
        return Err("the result is not in the graph".into());
    }
    if graph.stages.last() != Some(&target) {
        return Err(format!("stage {target} is not the last of {:?}", graph.stages));
    }
    let planned = |instruction: &Instruction| {
        graph.dag.node_weights().any(|step| step.span == Some(instruction.source.span))
    };
    let mut expected = file.stages[target].instructions.iter().filter(|found| makes_a_layer(found));
    match expected.find(|instruction| !planned(instruction)) {
        Some(lost) => Err(format!("no step for `{}`", lost.source.original)),
        None => Ok(()),
    }
}

#[test]
fn there_are_enough_files_of_each_encoding() {
    let files = files();
    assert!(files.len() >= FEWEST_FILES, "{} files", files.len());
    // A checkout that changes line ends would take the point from some of them.
    let count = |matches: &dyn Fn(&[u8]) -> bool| files.iter().filter(|file| matches(&file.text)).count();
    assert!(count(&|text| text.windows(2).any(|pair| pair == b"\r\n")) >= 3);
    assert!(count(&|text| text.starts_with(b"\xef\xbb\xbf")) >= 2);
    assert!(count(&|text| !text.ends_with(b"\n")) >= 1);
}

#[test]
fn last_stages_are_planned() {
    each(|File { text, .. }| {
        let file = read(text)?;
        for platform in PLATFORMS {
            let graph = plan(&file, &options(platform, None), &Alpine).map_err(|error| {
                let place = error.span.unwrap_or_default();
                format!("{platform}: {place}: {error}")
            })?;
            check_graph(&graph, file.stages.len() - 1, &file)?;
        }
        Ok(())
    });
}

#[test]
fn named_stages_are_planned() {
    each(|File { text, .. }| {
        let file = read(text)?;
        for (number, stage) in file.stages.iter().enumerate() {
            let Some(name) = stage.name() else { continue };
            let graph = plan(&file, &options(PLATFORMS[0], Some(name)), &Alpine).map_err(|error| {
                let place = error.span.unwrap_or_default();
                format!("target {name}: {place}: {error}")
            })?;
            check_graph(&graph, number, &file)?;
        }
        Ok(())
    });
}

#[test]
fn a_plan_is_the_same_each_time() {
    each(|File { text, .. }| {
        let file = read(text)?;
        let plan = || plan(&file, &options(PLATFORMS[1], None), &Alpine).map_err(|error| error.to_string());
        let (once, twice) = (plan()?, plan()?);
        if format!("{once:?}") == format!("{twice:?}") { Ok(()) } else { Err("two plans differ".into()) }
    });
}

#[test]
fn printing_and_reading_again_gives_the_same_tree() {
    let without_places = |Dockerfile { directives, global_args, stages, .. }: &Dockerfile| {
        SPAN.replace_all(&format!("{directives:#?}\n{global_args:#?}\n{stages:#?}"), "_").into_owned()
    };
    each(|File { text, .. }| {
        let file = read(text)?;
        let printed = print(&file);
        let again = read(&printed).map_err(|error| format!("printed: {error}"))?;
        let (before, after) = (without_places(&file), without_places(&again));
        match before.lines().zip(after.lines()).find(|(before, after)| before != after) {
            Some((before, after)) => Err(format!("{before} became {after}")),
            None if before.len() != after.len() => Err("the tree has another size".into()),
            None => Ok(()),
        }
    });
}

/// Findings of Cooper's own rules, which have to be rare in files that are in order.
const MOST_OWN_FINDINGS: usize = 5;

#[test]
fn checks_run_on_all_files() {
    let own = std::cell::RefCell::new(Vec::new());
    each(|file| {
        let tree = read(&file.text)?;
        let mut noticed = Noticed::default();
        plan_and_notice(&tree, &options("linux/amd64", None), &Alpine, &mut noticed)
            .map_err(|error| error.to_string())?;
        for finding in all_findings(&tree, &Filter::default(), &noticed, &|_| false) {
            let Some(span) = finding.span.filter(|span| span.end <= file.text.len() && span.start < span.end)
            else {
                return Err(format!("{finding:?} has no place"));
            };
            if description(&finding.rule).is_none() {
                return Err(format!("{} has no description", finding.rule));
            }
            if finding.rule.starts_with("Cooper") {
                own.borrow_mut().push(format!("{} {}: {}", file.name, span, finding.message));
            }
        }
        Ok(())
    });
    let own = own.into_inner();
    assert!(own.len() <= MOST_OWN_FINDINGS, "{} own findings:\n{}", own.len(), own.join("\n"));
}
