//! A store, a project and builds of it into a directory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cooper_builder::event::{Event, EventSender, StepState};
use cooper_builder::request::{
    BuildRequest, ContextSource, DockerfileSource, Output, OutputKind, SecretSource,
};
use cooper_builder::{BuildError, CancelToken, Session, SessionOptions};

pub struct Fixture {
    dir: tempfile::TempDir,
    session: Session,
}

/// A build that went well.
#[derive(Debug)]
pub struct Built {
    pub out: PathBuf,
    /// Step names with whether they were cached.
    pub steps: Vec<(String, bool)>,
}

impl Built {
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.out.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Whether every step whose name contains `part` was cached.
    pub fn cached(&self, part: &str) -> bool {
        let mut steps = self.steps.iter().filter(|(name, _)| name.contains(part)).peekable();
        assert!(steps.peek().is_some(), "no step {part} in {:?}", self.steps);
        steps.all(|(_, hit)| *hit)
    }
}

/// `None`, with a word on why, where layers cannot be mounted.
pub fn fixture() -> Option<Fixture> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    if !root {
        {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                b"skipped: only root mounts layers without entering a namespace\n",
            );
        }
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let session =
        Session::open(&SessionOptions { root: Some(dir.path().join("store")), ..SessionOptions::default() })
            .unwrap();
    std::fs::create_dir(dir.path().join("project")).unwrap();
    Some(Fixture { dir, session })
}

impl Fixture {
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn store(&self) -> PathBuf {
        self.dir().join("store")
    }

    /// Builds a Dockerfile without other files in the context.
    pub fn build(&self, dockerfile: &str) -> Result<Built, BuildError> {
        self.run(self.request(dockerfile))
    }

    pub fn request(&self, dockerfile: &str) -> BuildRequest {
        BuildRequest {
            context: ContextSource::Directory(self.dir().join("project")),
            dockerfile: Some(DockerfileSource::Text(dockerfile.as_bytes().to_vec())),
            ..BuildRequest::default()
        }
    }

    /// Secrets as files.
    pub fn secrets(&self, pairs: &[(&str, &str)]) -> BTreeMap<String, SecretSource> {
        let file = |(index, (id, value)): (usize, &(&str, &str))| {
            let path = self.dir().join(format!("secret{index}"));
            std::fs::write(&path, value).unwrap();
            ((*id).to_owned(), SecretSource::File(path))
        };
        pairs.iter().enumerate().map(file).collect()
    }

    pub fn run(&self, request: BuildRequest) -> Result<Built, BuildError> {
        let out = tempfile::Builder::new().prefix("out").tempdir_in(self.dir()).unwrap().keep();
        let output = Output {
            kind: OutputKind::Local,
            dest: Some(out.clone()),
            names: Vec::new(),
            attributes: BTreeMap::new(),
        };
        let request = BuildRequest { outputs: vec![output], ..request };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (events, mut receiver) = EventSender::channel();
        let result = runtime.block_on(self.session.build(request, events, CancelToken::new()));
        let mut names = BTreeMap::new();
        let mut steps = Vec::new();
        while let Ok(event) = receiver.try_recv() {
            match event {
                Event::StepPlanned { step, name, .. } => {
                    names.insert(step, name);
                }
                Event::StepFinished { step, state, .. } => {
                    steps.push((names[&step].clone(), state == StepState::Hit));
                }
                _ => {}
            }
        }
        result.map(|_| Built { out, steps })
    }
}

/// An error with all its causes and its hint.
pub fn told(error: &BuildError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        write!(text, ": {next}").unwrap();
        cause = next.source();
    }
    write!(text, " (hint: {})", error.advice().unwrap_or_default()).unwrap();
    text
}

/// A tar of regular files.
pub fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    use cooper_oci::tar::{Entry, EntryKind, Writer};
    let mut writer = Writer::new(Vec::new());
    for (path, content) in files {
        let entry = Entry {
            path: path.as_bytes().to_vec(),
            kind: EntryKind::File,
            mode: 0o644,
            size: content.len() as u64,
            ..Entry::default()
        };
        writer.append_with(&entry, &mut content.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}
