//! From the Dockerfile's bytes to the graph and the findings of one platform.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cooper_frontend::ast::Dockerfile;
use cooper_frontend::graph::{Graph, ImageResolver, PlanOptions, PlanWarning};
use cooper_frontend::lint::{self, Filter};
use cooper_frontend::{Noticed, PlanError};
use cooper_oci::{Digest, Platform};

use crate::build::Files;
use crate::error::BuildError;
use crate::image_source::{LoadedImage, Resolver};
use crate::request::BuildRequest;
use crate::session::Session;
use crate::stand_in::StandIns;
use crate::task;

/// Replaces the file's `check` directive.
const CHECK_ARG: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Base images of a graph by their manifest.
pub(crate) type Images = HashMap<Digest, LoadedImage>;

/// Rules that look at the configs of base images.
const NEED_BASE: [&str; 3] = ["InvalidBaseImagePlatform", "JSONArgsRecommended", "UndefinedVar"];

/// What a plan is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be carried out.
    Build,
    /// Only its findings count: they do not end at a base image that is not found.
    Check,
}

/// What is known of a build before anything runs.
pub(crate) struct Planned {
    /// The syntax tree; `None` if the text has none.
    pub file: Option<Arc<Dockerfile>>,
    /// What the checks found, also if planning failed.
    pub findings: Vec<PlanWarning>,
    /// The file asks that findings fail the build, and there are some.
    pub violation: Option<BuildError>,
    /// The graph.
    pub graph: Result<(Graph, Images), BuildError>,
    /// Rules left out of the checks, because a base image is not known that they need.
    pub left_out: Vec<&'static str>,
}

impl Planned {
    fn failed(file: Option<Arc<Dockerfile>>, error: BuildError) -> Planned {
        Planned { file, findings: Vec::new(), violation: None, graph: Err(error), left_out: Vec::new() }
    }
}

/// The request as the planner sees it, for one platform; `several` says that there are others.
pub(crate) fn plan_options(
    request: &BuildRequest,
    files: &Files,
    platform: Option<Platform>,
    several: bool,
) -> PlanOptions {
    PlanOptions {
        target: request.target.clone(),
        build_args: request.build_args.clone(),
        labels: request.labels.clone(),
        platform,
        build_platform: None,
        named_contexts: files.named.clone(),
        network: request.network,
        allow_network_host: request.allow_network_host,
        allow_insecure: request.allow_insecure,
        no_cache: request.no_cache.clone(),
        extra_hosts: request.extra_hosts.clone(),
        shm_size_bytes: request.shm_size_bytes,
        ulimits: request.ulimits.clone(),
        multi_platform: several,
        keyword_epoch: None,
        dockerignore: files.ignore.clone(),
    }
}

impl Session {
    /// Plans the build for one platform.
    pub(crate) async fn plan(
        &self,
        request: &BuildRequest,
        files: &Files,
        options: PlanOptions,
        purpose: Purpose,
    ) -> Result<Planned, BuildError> {
        let resolver = Resolver {
            session: self.0.clone(),
            runtime: tokio::runtime::Handle::current(),
            pull: request.pull,
            found: Mutex::default(),
            failed: Mutex::default(),
        };
        let text = files.dockerfile_bytes.clone();
        task::blocking("plan", move || {
            let stand_ins = StandIns::new(&resolver);
            let mut planned = plan(&text, &options, &stand_ins);
            if purpose == Purpose::Check && stand_ins.stand_in() {
                // The first failure stays what is told; the findings are those of the whole file.
                planned.findings = plan(&text, &options, &stand_ins).findings;
                planned.findings.retain(|finding| !NEED_BASE.contains(&finding.rule.as_str()));
                planned.left_out = NEED_BASE.to_vec();
            }
            drop(stand_ins);
            planned.graph = match planned.graph {
                Ok((graph, _)) => {
                    let found = resolver.found.into_inner().unwrap_or_else(PoisonError::into_inner);
                    Ok((graph, found.into_iter().map(|((_, digest), image)| (digest, image)).collect()))
                }
                Err(e) => {
                    let failed = resolver.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
                    // The planner takes all that is wrong with a base image for a mistake of the file.
                    Err(match failed.get(&e.to_string()) {
                        Some(kind) => e.of_kind(*kind),
                        None => e,
                    })
                }
            };
            Ok(planned)
        })
        .await
    }
}

fn plan(text: &[u8], options: &PlanOptions, resolver: &dyn ImageResolver) -> Planned {
    let file = match cooper_frontend::parser::parse(text) {
        Ok(file) => Arc::new(file),
        Err(e) => {
            return Planned::failed(None, with_hint(BuildError::user(e.message).at(Some(e.span)), e.hint));
        }
    };
    let filter = match filter(&file, options) {
        Ok(filter) => filter,
        Err(e) => return Planned::failed(Some(file), e),
    };
    if let Err(e) = cooper_frontend::syntax::check(&file, &options.build_args) {
        return Planned::failed(Some(file), of_plan(e));
    }
    let mut noticed = Noticed::default();
    let graph = cooper_frontend::plan_and_notice(&file, options, resolver, &mut noticed);
    let given = |name: &str| options.build_args.iter().any(|(key, _)| key == name);
    let findings = lint::all_findings(&file, &filter, &noticed, &given);
    let violations: Vec<&PlanWarning> =
        findings.iter().filter(|finding| lint::counts_as_violation(&finding.rule)).collect();
    let violation = violations.first().filter(|_| filter.findings_are_errors()).map(|first| {
        let rules = violations.iter().map(|finding| finding.rule.as_str());
        BuildError::user(lint::violation_message(rules)).at(first.span)
    });
    Planned {
        file: Some(file),
        findings,
        violation,
        graph: graph.map(|g| (g, Images::new())).map_err(of_plan),
        left_out: Vec::new(),
    }
}

fn filter(file: &Dockerfile, options: &PlanOptions) -> Result<Filter, BuildError> {
    let given = options.build_args.iter().rev().find(|(name, _)| name == CHECK_ARG);
    let options = match given {
        Some((_, value)) => cooper_frontend::parser::parse_check_options(value)
            .map_err(|e| BuildError::user(format!("--build-arg {CHECK_ARG}: {}", e.message)))?,
        None => file.directives.check.clone().map(|check| check.value).unwrap_or_default(),
    };
    Ok(Filter::new(options))
}

fn of_plan(e: PlanError) -> BuildError {
    with_hint(BuildError::user(e.message).at(e.span), e.hint)
}

fn with_hint(error: BuildError, hint: Option<String>) -> BuildError {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
