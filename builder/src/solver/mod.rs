//! The solver: walks the graph with as much parallelism as it has.
//!
//! Every step is a task that waits for its inputs, computes its key, and takes the first of: a record in the store; a
//! record that another build is just making (the key's lock, see [`cooper_snapshotter::Store::lock_step`]); the work
//! itself. A record is published only after its layer is durable; that happens beside later steps.

pub mod key;
pub mod publish;
pub mod record;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cooper_frontend::graph::{Graph, InlineFile, Op, Step, StepId};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use futures_util::stream::{FuturesUnordered, StreamExt};
use petgraph::Direction;

use crate::cancel::CancelToken;
use crate::context::Context;
use crate::error::{BuildError, DockerfileText};
use crate::event::{Event, EventSender, StepState};
use crate::export::EarlyForm;
use crate::forms::{self, Wanted};
use crate::image_source::{LoadedImage, Origin, Origins};
use crate::ops;
use crate::remote::Fetcher;
use crate::request::BuildRequest;
use crate::rootfs::{Layer, Rootfs};
use crate::session::Inner;
use crate::task;
use key::Inputs;
use publish::{Pending, Publisher};
use record::{Record, RecordedLayer};

/// What a step hands to its dependents.
#[derive(Clone)]
pub enum Output {
    /// A root filesystem.
    Rootfs(Rootfs),
    /// A client directory.
    Context(Arc<Context>),
    /// A file from the network.
    Download(Arc<ops::http::Download>),
    /// Files of the Dockerfile itself.
    Inline(Arc<Vec<InlineFile>>),
}

/// One build while it runs.
pub struct Build {
    /// Store and clients.
    pub session: Arc<Inner>,
    /// What was asked.
    pub request: Arc<BuildRequest>,
    /// The graph.
    pub graph: Graph,
    /// The Dockerfile, for errors.
    pub dockerfile: Arc<DockerfileText>,
    /// Listeners.
    pub events: EventSender,
    /// The switch.
    pub cancel: CancelToken,
    /// Opened client directories by name.
    pub contexts: HashMap<String, Arc<Context>>,
    /// Images that the planner resolved.
    pub images: HashMap<cooper_oci::Digest, LoadedImage>,
    /// Where base layers are.
    pub origins: Origins,
    /// Records on their way to disk.
    pub publisher: Publisher,
    /// The form in which an output will want the target's layers.
    pub early_form: Option<EarlyForm>,
    /// Step numbers in events are offset by this (several platforms in one build).
    pub first_step: usize,
}

type StepFuture = Shared<BoxFuture<'static, Result<Output, BuildError>>>;

impl Build {
    /// Number of a step in events.
    pub fn number(&self, id: StepId) -> usize {
        self.first_step + id.index()
    }

    /// Does all steps and returns the target's root filesystem.
    pub async fn solve(self: &Arc<Self>) -> Result<Rootfs, BuildError> {
        let order = petgraph::algo::toposort(&self.graph.dag, None)
            .map_err(|_| BuildError::user("circular dependency between stages"))?;
        for &id in &order {
            let step = &self.graph.dag[id];
            self.events.send(Event::StepPlanned {
                step: self.number(id),
                name: step.name.clone(),
                stage: step.stage.clone(),
                span: step.span,
            });
        }
        let mut futures: HashMap<StepId, StepFuture> = HashMap::new();
        for id in order {
            let inputs: Vec<(StepId, StepFuture)> = self
                .graph
                .dag
                .neighbors_directed(id, Direction::Incoming)
                .map(|d| (d, futures[&d].clone()))
                .collect();
            let build = self.clone();
            let task = task::spawn(async move { build.run_step(id, inputs).await });
            let future = async move { task.join().await? }.boxed().shared();
            futures.insert(id, future);
        }
        let result = futures[&self.graph.result].clone();
        // The first failure ends the build. The others are told and waited for: a running command is killed, and its
        // files are removed only when it is gone.
        let mut all: FuturesUnordered<StepFuture> = futures.into_values().collect();
        let mut failure = None;
        while let Some(done) = all.next().await {
            if let Err(e) = done
                && failure.is_none()
            {
                self.cancel.cancel();
                failure = Some(e);
            }
        }
        if let Some(e) = failure {
            self.publisher.settle().await.ok();
            return Err(e);
        }
        match result.await? {
            Output::Rootfs(rootfs) => Ok(rootfs),
            _ => Err(BuildError::new(crate::error::Kind::Internal, "the target is not a root filesystem")),
        }
    }

    /// What fetching from the network needs of this build.
    pub fn fetcher(&self, step: Option<usize>) -> Fetcher {
        Fetcher {
            session: self.session.clone(),
            request: self.request.clone(),
            events: self.events.clone(),
            cancel: self.cancel.clone(),
            step,
        }
    }

    async fn run_step(
        self: Arc<Self>,
        id: StepId,
        inputs: Vec<(StepId, StepFuture)>,
    ) -> Result<Output, BuildError> {
        let waiting = inputs.into_iter().map(|(input, future)| {
            let build = &self;
            async move {
                let output = future.await?;
                build.look_ahead(id, input, &output).await;
                Ok::<_, BuildError>((input, output))
            }
        });
        let inputs: HashMap<StepId, Output> =
            futures_util::future::try_join_all(waiting).await?.into_iter().collect();
        if self.cancel.is_cancelled() {
            return Err(BuildError::cancelled());
        }
        let number = self.number(id);
        self.events.send(Event::StepStarted { step: number });
        let started = Instant::now();
        let step = &self.graph.dag[id];
        match self.dispatch(id, step, &inputs).await {
            Ok((output, state)) => {
                self.begin_form(id, &output);
                self.events.send(Event::StepFinished { step: number, state, duration: started.elapsed() });
                Ok(output)
            }
            Err(e) => {
                let e = e
                    .at(step.span.or_else(|| self.span_of_user(id)))
                    .in_dockerfile(&self.dockerfile)
                    .in_step(number);
                self.events.send(Event::StepFailed { step: number, message: e.to_string() });
                Err(e)
            }
        }
    }

    /// The form that will be wanted of the layer that a step makes, if nothing else waits for that step: it can be made
    /// together with the layer. The step has its number in events.
    pub fn last_form(&self, step: usize) -> Option<&EarlyForm> {
        let last = self.number(self.graph.result) == step;
        let alone =
            self.graph.dag.neighbors_directed(self.graph.result, Direction::Outgoing).next().is_none();
        self.early_form.as_ref().filter(|_| last && alone)
    }

    /// Begins to compress a finished layer of the target, if an output will want that.
    fn begin_form(&self, id: StepId, output: &Output) {
        let form = self.early_form.as_ref().filter(|form| form.is_compressed());
        let (Some(form), Output::Rootfs(rootfs)) = (form, output) else { return };
        let Some(layer) = rootfs.layers().last().filter(|_| self.graph.target_steps().contains(&id)) else {
            return;
        };
        let EarlyForm { format, purpose, .. } = form.clone();
        let wanted = Wanted { diff_id: layer.diff_id.clone(), base: None, format, purpose };
        // Behind the last step there is nothing that it could hold up.
        forms::begin(&self.session, wanted, id != self.graph.result);
    }

    /// Does what a step needs of one input alone, while others are still made.
    async fn look_ahead(self: &Arc<Self>, id: StepId, input: StepId, output: &Output) {
        let Op::Copy(op) = &self.graph.dag[id].op else { return };
        for source in op.sources.iter().filter(|source| source.input == input && op.base != input) {
            ops::sources::look_ahead(self, output, source, op).await;
        }
    }

    /// Where the Dockerfile names a source that has no place of its own.
    fn span_of_user(&self, id: StepId) -> Option<cooper_frontend::ast::Span> {
        self.graph.dag.neighbors(id).find_map(|user| match &self.graph.dag[user].op {
            Op::Copy(op) => op.sources.iter().find(|source| source.input == id)?.span,
            _ => self.graph.dag[user].span,
        })
    }

    async fn dispatch(
        self: &Arc<Self>,
        id: StepId,
        step: &Step,
        inputs: &HashMap<StepId, Output>,
    ) -> Result<(Output, StepState), BuildError> {
        let output = match &step.op {
            Op::Scratch => Output::Rootfs(Rootfs::default()),
            Op::Image(op) => Output::Rootfs(self.image_rootfs(&op.source, &op.manifest)?),
            Op::Local(op) => Output::Context(self.contexts.get(&op.name).cloned().ok_or_else(|| {
                BuildError::new(
                    crate::error::Kind::Internal,
                    format!("the build context {} is not open", op.name),
                )
            })?),
            Op::Inline(files) => Output::Inline(Arc::new(files.clone())),
            Op::Http(op) => {
                let (download, state) = ops::http::resolve(&self.fetcher(Some(self.number(id))), op).await?;
                return Ok((Output::Download(Arc::new(download)), state));
            }
            Op::Git(op) => {
                let (rootfs, state) = ops::git::run(&self.fetcher(Some(self.number(id))), op).await?;
                return Ok((Output::Rootfs(rootfs), state));
            }
            Op::Run(op) => return self.rootfs_step(id, step, &ops::run::RunStep::new(op, inputs)?).await,
            Op::Copy(op) => return self.rootfs_step(id, step, &ops::copy::CopyStep::new(op, inputs)?).await,
            Op::Mkdir(op) => {
                return self
                    .rootfs_step(id, step, &ops::mkdir::MkdirStep::new(op, words(&step.name), inputs)?)
                    .await;
            }
        };
        Ok((output, StepState::Hit))
    }

    fn image_rootfs(
        &self,
        source: &cooper_frontend::graph::ImageSource,
        manifest: &cooper_oci::Digest,
    ) -> Result<Rootfs, BuildError> {
        let image = self.images.get(manifest).ok_or_else(|| {
            BuildError::new(crate::error::Kind::Internal, format!("the image {manifest} was not resolved"))
        })?;
        let mut rootfs = Rootfs::default();
        for (diff_id, descriptor) in image.layers() {
            self.origins
                .insert(diff_id.clone(), Origin { source: source.clone(), descriptor: descriptor.clone() });
            rootfs.push(Layer {
                diff_id: diff_id.clone(),
                identity: diff_id.to_string(),
                created_seconds: None,
            });
        }
        Ok(rootfs)
    }

    /// A step that puts one layer on a root filesystem: key, look up, do, record.
    async fn rootfs_step<W: LayerStep>(
        self: &Arc<Self>,
        id: StepId,
        step: &Step,
        work: &W,
    ) -> Result<(Output, StepState), BuildError> {
        let inputs = work.inputs(self).await?;
        let key = inputs.key();
        let store = self.session.store.clone();
        if !step.ignore_cache
            && let Some(record) = Record::find(&store, &key)
        {
            return Ok((Output::Rootfs(work.base().with(layer_of(&key, &record))), StepState::Hit));
        }
        let near = record::near_name(work.kind(), &work.words(words(&step.name)));
        let reason =
            if step.ignore_cache { "--no-cache".into() } else { record::explain(&store, &near, &inputs) };
        let lock = if let Some(lock) = store.try_lock_step(&key)? {
            lock
        } else {
            let (store, key) = (store.clone(), key.clone());
            task::blocking("lock step", move || Ok(store.lock_step(&key)?)).await?
        };
        if !step.ignore_cache
            && let Some(record) = Record::find(&store, &key)
        {
            return Ok((Output::Rootfs(work.base().with(layer_of(&key, &record))), StepState::Hit));
        }
        let started = Instant::now();
        let made = work.run(self, self.number(id)).await?;
        let record = Record {
            inputs,
            layer: RecordedLayer { diff_id: made.diff_id, content: made.content.0 },
            created_seconds: self.graph.image.source_date_epoch.unwrap_or_else(now_seconds),
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        let layer = layer_of(&key, &record);
        self.publisher.publish(&store, Pending { record, key, near, lock });
        Ok((Output::Rootfs(work.base().with(layer)), StepState::Miss { reason }))
    }
}

/// What the three ops that make layers have in common.
pub trait LayerStep: Sync {
    /// Short name of the op.
    fn kind(&self) -> &'static str;
    /// What makes two steps "the same, with other inputs", for explaining a miss; `shown` is the step's name, in which
    /// variables may be expanded.
    fn words(&self, shown: &str) -> String {
        shown.to_owned()
    }
    /// The root filesystem that the layer goes on.
    fn base(&self) -> &Rootfs;
    /// The named inputs that its result depends on.
    fn inputs(&self, build: &Arc<Build>) -> impl Future<Output = Result<Inputs, BuildError>> + Send;
    /// Does the work; the layer is in the store afterwards, but not yet durable.
    fn run(
        &self,
        build: &Arc<Build>,
        step: usize,
    ) -> impl Future<Output = Result<cooper_snapshotter::LayerInfo, BuildError>> + Send;
}

/// A layer counts in later keys of its stage by the step that made it and by its content: BuildKit's users expect the
/// first (a renamed source rebuilds what follows), and the second keeps an old layer from being put on a changed one.
fn layer_of(key: &str, record: &Record) -> Layer {
    Layer {
        diff_id: record.layer.diff_id.clone(),
        identity: format!("{key}/{}", record.layer.content),
        created_seconds: Some(record.created_seconds),
    }
}

/// A step's name without its place in the stage: `[build 2/5] RUN make` gives `RUN make`.
fn words(name: &str) -> &str {
    match name.split_once("] ") {
        Some((head, rest)) if head.starts_with('[') => rest,
        _ => name,
    }
}

fn now_seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
