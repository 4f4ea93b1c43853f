//! The growing graph. Equal sources are one node.

use std::collections::HashMap;

use cooper_oci::{Digest, Platform};
use petgraph::graph::DiGraph;

use crate::ast::Span;
use crate::graph::{
    CopyOp, CopySource, GitOp, HttpOp, ImageOp, ImageSource, LocalOp, Op, SourceKind, Step, StepId,
};

/// The graph and an index of its sources.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub dag: DiGraph<Step, ()>,
    scratch: Option<StepId>,
    images: HashMap<(ImageSource, Digest, Platform), StepId>,
    locals: HashMap<String, StepId>,
    remotes: HashMap<String, StepId>,
}

impl Nodes {
    /// Adds a step that reads the results of `inputs`.
    pub fn add(&mut self, step: Step, inputs: &[StepId]) -> StepId {
        let id = self.dag.add_node(step);
        for input in inputs {
            self.dag.update_edge(*input, id, ());
        }
        id
    }

    pub fn scratch(&mut self) -> StepId {
        if let Some(id) = self.scratch {
            return id;
        }
        let id = self.add(source(Op::Scratch, "[internal] empty root filesystem".to_owned()), &[]);
        self.scratch = Some(id);
        id
    }

    /// `describe` makes the step if there is none yet.
    pub fn image(&mut self, op: ImageOp, describe: impl FnOnce(Op) -> Step) -> StepId {
        let key = (op.source.clone(), op.manifest.clone(), op.platform.clone());
        if let Some(id) = self.images.get(&key) {
            return *id;
        }
        let id = self.add(describe(Op::Image(op)), &[]);
        self.images.insert(key, id);
        id
    }

    /// The main context, or the named context of this name.
    pub fn local(&mut self, name: &str) -> StepId {
        if let Some(id) = self.locals.get(name) {
            return *id;
        }
        let title = match name {
            MAIN_CONTEXT => "[internal] load build context".to_owned(),
            name => format!("[context {name}] load from client"),
        };
        let id = self.add(source(Op::Local(LocalOp { name: name.to_owned() }), title), &[]);
        self.locals.insert(name.to_owned(), id);
        id
    }

    /// What a stage can build on: for a directory of the client, a layer of its files.
    pub fn as_root(&mut self, id: StepId, stage: &str, span: Span) -> StepId {
        let Some(Op::Local(LocalOp { name })) = self.dag.node_weight(id).map(|step| &step.op) else {
            return id;
        };
        let name = format!("[context {name}] unpack");
        let base = self.scratch();
        let kind = SourceKind::Files { preserve_owner: false };
        let op = CopyOp {
            base,
            link: false,
            sources: vec![CopySource { input: id, path: "/".to_owned(), kind, span: Some(span) }],
            dest: "/".to_owned(),
            chown: None,
            chmod: None,
            parents: false,
            excludes: Vec::new(),
            add: false,
        };
        let op = Op::Copy(Box::new(op));
        let step = Step { op, name, stage: Some(stage.to_owned()), span: Some(span), ignore_cache: false };
        self.add(step, &[base, id])
    }

    pub fn git(&mut self, op: GitOp, name: String) -> StepId {
        let key = format!("git {} {} {:?}", op.keep_git_dir, op.url, op.checksum);
        self.remote(key, Op::Git(op), name)
    }

    pub fn http(&mut self, op: HttpOp, name: String) -> StepId {
        let key = format!("http {} {:?} {:?}", op.url, op.filename, op.checksum);
        self.remote(key, Op::Http(op), name)
    }

    fn remote(&mut self, key: String, op: Op, name: String) -> StepId {
        if let Some(id) = self.remotes.get(&key) {
            return *id;
        }
        let id = self.add(source(op, name), &[]);
        self.remotes.insert(key, id);
        id
    }
}

/// Name of the main context's [`LocalOp`].
pub(super) const MAIN_CONTEXT: &str = "context";

/// A step that belongs to no stage.
pub(super) fn source(op: Op, name: String) -> Step {
    Step { op, name, stage: None, span: None, ignore_cache: false }
}
