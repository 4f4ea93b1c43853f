//! Files that steps read: of a client directory, of a root filesystem, or of the Dockerfile itself.
//!
//! Content digests of files in a root filesystem are remembered in the store under the filesystem's identity, so that
//! a cached build neither mounts nor reads anything.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use cooper_frontend::ast::Span;
use cooper_frontend::graph::{CopyOp, CopySource, SourceKind};

use crate::copy::{self, NoHasher, Selection, SourceTree};
use crate::error::{BuildError, Kind};
use crate::ops::bring;
use crate::solver::key::Inputs;
use crate::solver::{Build, Output};
use crate::task;

/// Adds the content of one source to a step's named inputs.
pub async fn key_inputs(
    build: &Arc<Build>,
    output: &Output,
    source: &CopySource,
    op: &CopyOp,
    inputs: &mut Inputs,
) -> Result<(), BuildError> {
    if let (Output::Download(download), SourceKind::Http { .. }) = (output, source.kind) {
        download.key_inputs(inputs);
        return Ok(());
    }
    let question = fixed_content(output).map(|content| {
        let mut question = Inputs::default();
        question.add("question", "content");
        question.add("layers", content);
        question.add("path", cleaned(&source.path));
        question.add("kind", format!("{:?}", source.kind));
        question.add("parents", op.parents.to_string());
        for pattern in &op.excludes {
            question.add("exclude", pattern);
        }
        question
    });
    let (source2, op2) = (source.clone(), op.clone());
    let select = move |tree: &SourceTree| copy::select(tree, &source2, &op2);
    answer(build, output, question, &cleaned(&source.path), inputs, select)
        .await
        .map_err(|e| e.at(source.span))
}

/// Finds out what one source of a step holds before the step's turn comes, if the answer can be remembered. What fails
/// here fails again, and is told, when it is needed.
pub async fn look_ahead(build: &Arc<Build>, output: &Output, source: &CopySource, op: &CopyOp) {
    if matches!(output, Output::Rootfs(_)) {
        let _ = key_inputs(build, output, source, op, &mut Inputs::default()).await;
    }
}

/// Adds the content at one path, as a bind mount shows it.
pub async fn mount_key_inputs(
    build: &Arc<Build>,
    output: &Output,
    path: &str,
    span: Option<Span>,
    inputs: &mut Inputs,
) -> Result<(), BuildError> {
    let question = fixed_content(output).map(|content| {
        let mut question = Inputs::default();
        question.add("question", "content below a path");
        question.add("layers", content);
        question.add("path", path);
        question
    });
    let path = path.to_owned();
    let name = path.clone();
    let select = move |tree: &SourceTree| copy::select_path(tree, &path, true);
    answer(build, output, question, &name, inputs, select).await.map_err(|e| e.at(span))
}

/// What names the whole content of an output, if that is known without looking.
fn fixed_content(output: &Output) -> Option<String> {
    match output {
        Output::Rootfs(rootfs) => Some(rootfs.content()),
        Output::Download(download) => Some(format!("{} {}", download.name, download.digest)),
        Output::Context(_) | Output::Inline(_) => None,
    }
}

/// Adds a content digest, remembered if it is about fixed content.
async fn answer(
    build: &Arc<Build>,
    output: &Output,
    question: Option<Inputs>,
    path: &str,
    inputs: &mut Inputs,
    select: impl FnOnce(&SourceTree) -> Result<Selection, copy::CopyError> + Send + 'static,
) -> Result<(), BuildError> {
    let memo = question.map(|q| q.key());
    let name = format!("content of {path}");
    if let Some(key) = &memo
        && let Ok(Some(known)) = build.session.store.get_step(key)
        && let Ok(digest) = String::from_utf8(known)
    {
        inputs.add(name, digest);
        return Ok(());
    }
    bring(build, output, None).await?;
    let most_names = if memo.is_some() { 0 } else { MAX_NAMED_FILES };
    let (build2, output2) = (build.clone(), output.clone());
    let (digest, files) = task::blocking("digest sources", move || {
        with_tree(&build2, &output2, |tree| {
            let found = copy::examine(&select(tree)?, most_names)?;
            Ok((hex(&found.digest), found.inputs))
        })
    })
    .await?;
    if let Some(key) = memo {
        let (store, digest) = (build.session.store.clone(), digest.clone());
        task::blocking("remember digest", move || Ok(store.put_step(&key, digest.as_bytes())?)).await?;
    } else {
        // Names serve explanations only; the digest counts. Few enough names fit in a record.
        for (path, digest) in files {
            inputs.add(path, digest);
        }
    }
    inputs.add(name, digest);
    Ok(())
}

/// A source path as it counts in keys: `./a` and `a` are the same.
pub(crate) fn cleaned(path: &str) -> String {
    cooper_frontend::gopath::clean_str(&format!("/{path}"))
}

/// More files than this are not named one by one in a record.
const MAX_NAMED_FILES: usize = 200;

/// Opens the files of an output and hands them to `work`. All layers must be unpacked already.
pub fn with_tree<T>(
    build: &Build,
    output: &Output,
    work: impl FnOnce(&SourceTree) -> Result<T, BuildError>,
) -> Result<T, BuildError> {
    match output {
        Output::Context(context) => work(&context.tree()?),
        Output::Rootfs(rootfs) => {
            let view = build.session.store.view(rootfs.chain())?;
            work(&stage_tree(view.root())?)
        }
        Output::Download(download) => {
            let dir = download.lay_out(&build.session.store)?;
            let root = cooper_sys::fs::open_dir(dir.path())?;
            work(&SourceTree::client(root, None, Arc::new(NoHasher)))
        }
        Output::Inline(files) => work(&SourceTree::inline(files.to_vec())),
    }
}

/// Files of a stage or image below an open directory.
pub fn stage_tree(root: BorrowedFd<'_>) -> Result<SourceTree, BuildError> {
    let root = root
        .try_clone_to_owned()
        .map_err(|e| BuildError::new(Kind::Config, "cannot duplicate a descriptor").caused_by(e))?;
    Ok(SourceTree::stage(root, Arc::new(NoHasher)))
}

/// Unpacks archives of ADD with the snapshotter's rules for layers.
pub struct StoreUnpacker;

impl copy::Unpacker for StoreUnpacker {
    fn unpack(
        &self,
        archive: &mut dyn std::io::Read,
        dest: BorrowedFd<'_>,
        owner: Option<(u32, u32)>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let options = cooper_snapshotter::ExtractOptions { chown: owner, ..Default::default() };
        cooper_snapshotter::extract(archive, dest, std::path::Path::new("/"), &options)?;
        Ok(())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

impl From<copy::CopyError> for BuildError {
    fn from(e: copy::CopyError) -> Self {
        let hint = e.hint().map(str::to_owned);
        let error = match e {
            copy::CopyError::Cancelled => return BuildError::cancelled(),
            e => BuildError::user(e.to_string()).caused_by_sources_of(e),
        };
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
