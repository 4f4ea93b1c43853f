//! A build from the request to the outcome: read, plan, solve, export.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_frontend::context::{normalize_name, parse_flag};
use cooper_frontend::dockerignore::Matcher;
use cooper_frontend::graph::{Graph, NamedContext, Op, PlanWarning};
use cooper_oci::{ImageConfig, Platform};

use crate::advice::advise;
use crate::assemble::finish_config;
use crate::cancel::CancelToken;
use crate::context::{Context, StatIndex, main_context};
use crate::epoch;
use crate::error::{BuildError, DockerfileText, Kind};
use crate::event::{Event, EventSender};
use crate::export;
use crate::image_source::Origins;
use crate::plan::{Purpose, plan_options};
use crate::remote::Fetcher;
use crate::request::{BuildOutcome, BuildRequest, ContextSource, DockerfileSource, Output, OutputKind};
use crate::rootfs::Rootfs;
use crate::session::{Inner, Session};
use crate::solver::Build;
use crate::solver::publish::Publisher;
use crate::task;

/// A Dockerfile larger than this is refused.
pub(crate) const MAX_DOCKERFILE_BYTES: u64 = 16 << 20;

/// What one platform's build gives to the exporters.
#[derive(Clone)]
pub struct Built {
    /// The target's root filesystem.
    pub rootfs: Rootfs,
    /// The finished config.
    pub config: ImageConfig,
    /// Where base layers are.
    pub origins: Origins,
    /// `SOURCE_DATE_EPOCH`, seconds.
    pub epoch: Option<i64>,
}

impl Session {
    /// Builds. Events tell what happens meanwhile; throwing `cancel` ends it without leftovers.
    pub async fn build(
        &self,
        request: BuildRequest,
        events: EventSender,
        cancel: CancelToken,
    ) -> Result<BuildOutcome, BuildError> {
        let outputs = export::check(&request)?;
        let _heard = self.0.board.heard_by(&events);
        let insecure = export::insecure_registries(&outputs);
        if !insecure.is_empty() {
            self.0.push_insecurely(insecure);
        }
        // Held until the end: the files of a context that is no directory of the client.
        let main = main_context::prepare(&self.0, request, &events, &cancel).await?;
        let request = main.request.clone();
        let files = {
            let request = request.clone();
            task::blocking("read Dockerfile", move || read_files(&request)).await?
        };
        let fetcher = Fetcher {
            session: self.0.clone(),
            request: request.clone(),
            events: events.clone(),
            cancel: cancel.clone(),
            step: None,
        };
        let dockerfile = files.dockerfile.clone();
        let with_text = |e: BuildError| e.in_dockerfile(&dockerfile);
        // Without a wish the result has the platform of its base image.
        let platforms: Vec<Option<Platform>> = if request.platforms.is_empty() {
            vec![None]
        } else {
            request.platforms.iter().cloned().map(Some).collect()
        };
        let mut builds = Vec::new();
        let mut first_step = main.steps;
        let mut indexes = Vec::new();
        let several = platforms.len() > 1;
        let mut findings: Vec<PlanWarning> = Vec::new();
        let mut tree = None;
        for platform in platforms {
            let mut options = plan_options(&request, &files, platform, several);
            options.keyword_epoch =
                epoch::of_keyword(&fetcher, &files, &options, main.changed).await.map_err(with_text)?;
            let planned = self.plan(&request, &files, options, Purpose::Build).await?;
            for warning in planned.findings.iter().filter(|warning| !findings.contains(warning)) {
                let PlanWarning { rule, message, span } = warning.clone();
                events.send(Event::Warning { rule, message, span });
            }
            findings.extend(planned.findings);
            tree = planned.file;
            let (graph, images) = planned.graph.map_err(with_text)?;
            if let Some(violation) = planned.violation {
                return Err(with_text(violation));
            }
            let steps = graph.dag.node_count();
            let contexts = open_contexts(&self.0, &request, &files, &graph)?;
            let build = Arc::new(Build {
                session: self.0.clone(),
                request: request.clone(),
                graph,
                dockerfile: dockerfile.clone(),
                events: events.clone(),
                cancel: cancel.clone(),
                contexts: contexts.iter().map(|(n, c)| (n.clone(), c.context.clone())).collect(),
                images,
                origins: Origins::default(),
                publisher: Publisher::default(),
                early_form: export::early_form(&outputs),
                first_step,
            });
            first_step += steps;
            indexes.extend(contexts.into_values());
            builds.push(build);
        }
        // Steps that platforms have in common are done once: their keys are equal, and a key has one worker at a time.
        let solved = futures_util::future::join_all(builds.iter().map(Build::solve)).await;
        let mut built = Vec::new();
        for (build, rootfs) in builds.iter().zip(solved) {
            let rootfs = rootfs.map_err(|e| match &tree {
                Some(file) => advise(e, file, &dockerfile, &findings),
                None => e,
            })?;
            let config = finish_config(&build.graph.image, &rootfs);
            let epoch = build.graph.image.source_date_epoch;
            built.push(Built { rootfs, config, origins: build.origins.clone(), epoch });
        }
        let outcome = tokio::select! {
            outcome = export::run(&self.0, &request, &outputs, &built, &events) => outcome,
            () = cancel.cancelled() => Err(BuildError::cancelled()),
        };
        // Layers and records are worth keeping even if an exporter failed.
        let kept = self.0.forms.settle().await;
        for build in &builds {
            build.publisher.settle().await?;
        }
        kept?;
        for OpenContext { context, index } in indexes {
            // Worth a later build's time only: without it files are read again.
            let _ = index.map(|index| context.save_index(&index));
        }
        outcome
    }
}

/// The texts that a build starts from.
pub(crate) struct Files {
    /// For people.
    pub dockerfile: Arc<DockerfileText>,
    /// As read.
    pub dockerfile_bytes: Vec<u8>,
    /// Text and name of the main context's ignore file.
    pub ignore: Option<(String, String)>,
    /// Named contexts by normalised name.
    pub named: BTreeMap<String, NamedContext>,
}

/// Reads the Dockerfile and the ignore file.
pub(crate) fn read_files(request: &BuildRequest) -> Result<Files, BuildError> {
    let context = match &request.context {
        ContextSource::Empty => None,
        ContextSource::Directory(dir) => {
            if !dir.is_dir() {
                return Err(BuildError::user(format!(
                    "unable to prepare context: path \"{}\" not found",
                    dir.display()
                ))
                .hint("the last argument is the build context, such as `.`"));
            }
            Some(dir.clone())
        }
        ContextSource::Tree(dir) => Some(dir.clone()),
        ContextSource::Tar(_) | ContextSource::Git(_) | ContextSource::Http(_) => {
            return Err(BuildError::new(Kind::Internal, "the build context was not fetched"));
        }
    };
    let (name, path, bytes) = match (&request.dockerfile, &context) {
        (Some(DockerfileSource::Text(text)), _) => ("Dockerfile".to_string(), None, text.clone()),
        (Some(DockerfileSource::Url(_)), _) => {
            return Err(BuildError::new(Kind::Internal, "the Dockerfile was not fetched"));
        }
        (Some(DockerfileSource::Path(path)), context) => {
            let path = match context {
                Some(dir) if !path.exists() && dir.join(path).exists() => dir.join(path),
                _ => path.clone(),
            };
            (path.display().to_string(), Some(path.clone()), read_text(&path)?)
        }
        (None, Some(dir)) => {
            let path = ["Dockerfile", "dockerfile"].iter().map(|n| dir.join(n)).find(|p| p.exists());
            let path = path.ok_or_else(|| {
                let error = BuildError::user(format!(
                    "failed to read dockerfile: {} has no Dockerfile",
                    dir.display()
                ));
                match like_a_dockerfile(dir) {
                    Some(other) => error.hint(format!("did you mean -f {}?", other.display())),
                    None => error.hint("name another file with -f"),
                }
            })?;
            let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            (name, Some(path.clone()), read_text(&path)?)
        }
        (None, None) => return Err(BuildError::user("there is neither a Dockerfile nor a build context")),
    };
    let ignore = match &request.context {
        ContextSource::Directory(dir) => read_ignore(dir, path.as_deref())?,
        _ => None,
    };
    let mut named = BTreeMap::new();
    for (name, value) in &request.build_contexts {
        let (name, context) = parse_flag(&format!("{name}={value}"))
            .map_err(|e| BuildError::user(format!("--build-context: {e}")))?;
        named.insert(name, context);
    }
    let dockerfile = Arc::new(DockerfileText { name, text: String::from_utf8_lossy(&bytes).into_owned() });
    Ok(Files { dockerfile, dockerfile_bytes: bytes, ignore, named })
}

/// A file that looks like the Dockerfile that is missing.
fn like_a_dockerfile(dir: &Path) -> Option<PathBuf> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(dir).ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
    names.sort();
    names.into_iter().find(|path| {
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let ignores = name.ends_with(".dockerignore");
        (name.starts_with("dockerfile") || name.starts_with("containerfile") || name.ends_with(".dockerfile"))
            && !ignores
    })
}

fn read_text(path: &Path) -> Result<Vec<u8>, BuildError> {
    use std::io::Read;
    let failed = |e: std::io::Error| {
        BuildError::user(format!("failed to read dockerfile: {}", path.display())).caused_by(e)
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(failed)?
        .take(MAX_DOCKERFILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_DOCKERFILE_BYTES {
        return Err(BuildError::user(format!(
            "{} is larger than {MAX_DOCKERFILE_BYTES} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

/// `<Dockerfile>.dockerignore` beside the Dockerfile wins over `.dockerignore` of the context, even when empty.
fn read_ignore(context: &Path, dockerfile: Option<&Path>) -> Result<Option<(String, String)>, BuildError> {
    let beside = dockerfile.and_then(|p| {
        let mut name = p.file_name()?.to_os_string();
        name.push(".dockerignore");
        Some(p.with_file_name(name))
    });
    for path in beside.into_iter().chain([context.join(".dockerignore")]) {
        match std::fs::read(&path) {
            Ok(bytes) => {
                let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
                return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), name)));
            }
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => {}
            Err(e) => return Err(BuildError::user(format!("cannot read {}", path.display())).caused_by(e)),
        }
    }
    Ok(None)
}

/// A client directory and where its stat index is kept.
struct OpenContext {
    context: Arc<Context>,
    index: Option<PathBuf>,
}

/// One index for each directory, by its real path.
fn index_path(session: &Inner, dir: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let real = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf());
    let name = blake3::hash(real.as_os_str().as_bytes()).to_hex();
    // What is unpacked for one build is not there for the next.
    let passing = real.starts_with(session.store.root().join("tmp"));
    (!passing).then(|| session.store.root().join("contexts").join(name.as_str()))
}

/// Opens the client directories that the graph reads.
fn open_contexts(
    session: &Arc<Inner>,
    request: &BuildRequest,
    files: &Files,
    graph: &Graph,
) -> Result<HashMap<String, OpenContext>, BuildError> {
    let mut out = HashMap::new();
    for step in graph.dag.node_weights() {
        let Op::Local(local) = &step.op else { continue };
        if out.contains_key(&local.name) {
            continue;
        }
        let (dir, ignore): (PathBuf, Option<(String, String)>) = if local.name == "context" {
            match &request.context {
                ContextSource::Directory(dir) | ContextSource::Tree(dir) => {
                    (dir.clone(), files.ignore.clone())
                }
                _ => {
                    return Err(BuildError::user("there is no build context to copy from")
                        .at(step.span)
                        .hint("give a directory as context, and a Dockerfile on standard input with -f -"));
                }
            }
        } else {
            match files.named.get(&normalize_name(&local.name).unwrap_or_else(|_| local.name.clone())) {
                Some(NamedContext::Local(dir)) => {
                    let dir = PathBuf::from(dir);
                    let ignore = read_ignore(&dir, None)?;
                    (dir, ignore)
                }
                _ => return Err(BuildError::new(Kind::Internal, format!("{} is no directory", local.name))),
            }
        };
        let matcher = match &ignore {
            None => None,
            Some((text, name)) => Some(
                Matcher::from_file(text.as_bytes())
                    .map_err(|e| BuildError::user(format!("failed to read {name}: {e}")))?
                    .named(name),
            ),
        };
        let index = index_path(session, &dir);
        let context = Context::open(&dir, matcher, index.as_deref().map(StatIndex::load)).map_err(|e| {
            BuildError::user(format!("cannot open the build context {}", dir.display())).caused_by(e)
        })?;
        out.insert(local.name.clone(), OpenContext { context: Arc::new(context), index });
    }
    Ok(out)
}

/// `type=image` when nothing else was asked and there is a tag.
pub(crate) fn default_outputs(request: &BuildRequest) -> Vec<Output> {
    if !request.outputs.is_empty() {
        return request.outputs.clone();
    }
    vec![Output { kind: OutputKind::Image, dest: None, names: Vec::new(), attributes: BTreeMap::new() }]
}
