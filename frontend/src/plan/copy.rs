//! COPY and ADD.

use cooper_oci::Digest;

use super::PlanError;
use super::dispatch::{StageRun, heredoc_file_name};
use super::nodes::MAIN_CONTEXT;
use crate::ast::{self, Source, Span, Text};
use crate::dockerignore::Matcher;
use crate::gopath;
use crate::graph::{Chmod, CopyOp, CopySource, GitOp, HttpOp, InlineFile, Op, SourceKind, StepId};
use crate::remote::{self, Remote};

/// What COPY and ADD have in common.
struct Request<'a> {
    sources: &'a [ast::CopySource],
    destination: &'a Text,
    chown: Option<&'a Text>,
    chmod: Option<&'a Text>,
    excludes: &'a [Text],
    link: bool,
    parents: bool,
    /// ADD only.
    add: Option<AddFlags<'a>>,
    /// Where paths are taken from.
    input: Option<StepId>,
    /// Paths are in the main context.
    from_context: bool,
}

#[derive(Clone, Copy)]
struct AddFlags<'a> {
    checksum: Option<&'a Text>,
    keep_git_dir: Option<bool>,
    unpack: Option<bool>,
}

impl StageRun<'_, '_> {
    pub(super) fn copy(
        &mut self,
        copy: &ast::Copy,
        source: &Source,
        sources: &[Option<usize>],
    ) -> Result<(), PlanError> {
        let state = sources.first().copied().flatten();
        let input = match (state, &copy.from) {
            (Some(state), Some(from)) => Some(self.root_of(state).ok_or_else(|| {
                let message = format!(
                    "cannot copy from stage \"{}\", it needs to be defined before current stage \"{}\"",
                    from.as_str(),
                    self.label
                );
                self.error(from.span, message)
            })?),
            _ => None,
        };
        self.transfer(
            source,
            &Request {
                sources: &copy.sources,
                destination: &copy.destination,
                chown: copy.chown.as_ref(),
                chmod: copy.chmod.as_ref(),
                excludes: &copy.excludes,
                link: copy.link,
                parents: copy.parents,
                add: None,
                input,
                from_context: input.is_none(),
            },
        )
    }

    pub(super) fn add(&mut self, add: &ast::Add, source: &Source) -> Result<(), PlanError> {
        self.transfer(
            source,
            &Request {
                sources: &add.sources,
                destination: &add.destination,
                chown: add.chown.as_ref(),
                chmod: add.chmod.as_ref(),
                excludes: &add.excludes,
                link: add.link,
                parents: false,
                add: Some(AddFlags {
                    checksum: add.checksum.as_ref(),
                    keep_git_dir: add.keep_git_dir,
                    unpack: add.unpack,
                }),
                input: None,
                from_context: true,
            },
        )
    }

    fn transfer(&mut self, source: &Source, request: &Request) -> Result<(), PlanError> {
        let destination = self.word(request.destination)?;
        let chown = self.optional_word(request.chown)?;
        let chmod_text = self.optional_word(request.chmod)?;
        let chmod = match (&chmod_text, request.chmod) {
            (Some(text), Some(flag)) => {
                Some(parse_chmod(text).map_err(|message| self.error(flag.span, message))?)
            }
            _ => None,
        };
        let excludes: Vec<String> = request.excludes.iter().map(|text| text.value.clone()).collect();
        if let Err(error) = Matcher::new(&excludes) {
            return Err(self.error(source.span, error.to_string()));
        }
        let checksum = match request.add {
            Some(flags) => self.checksum(request, flags)?,
            None => None,
        };
        let shown = remote::redacted(&self.shown(&source.original, &[]));
        let name = self.step_name(&shown);

        let mut history = vec![if request.add.is_some() { "ADD" } else { "COPY" }.to_owned()];
        if request.parents {
            history.push("--parents".to_owned());
        }
        history.extend(chown.iter().map(|chown| format!("--chown={chown}")));
        history.extend(chmod_text.iter().map(|chmod| format!("--chmod={chmod}")));

        let mut sources = Vec::new();
        for word in request.sources {
            let ast::CopySource::Path(text) = word else { continue };
            let path = self.word(text)?;
            history.push(remote::redacted(&path));
            sources.push(self.path_source(request, &path, text.span, checksum.as_deref(), &name)?);
        }
        sources.extend(self.inline_sources(request, &mut history)?);
        history.push(destination.clone());

        let op = CopyOp {
            base: self.state.root,
            // Modes are not known to be right without the files below, so the layer is made on top of them.
            link: request.link && chmod_text.is_none(),
            sources,
            dest: self.destination(&destination),
            chown,
            chmod,
            parents: request.parents,
            excludes,
            add: request.add.is_some(),
        };
        self.copied.push((gopath::clean_str(&op.dest), self.span));
        let mut inputs = vec![self.state.root];
        inputs.extend(op.sources.iter().map(|source| source.input));
        let ignore_cache = self.ignore_cache;
        self.state.root = self.add_step(Op::Copy(Box::new(op)), name, ignore_cache, &inputs);
        self.commit(format!("{} # buildkit", history.join(" ")), true);
        Ok(())
    }

    fn path_source(
        &mut self,
        request: &Request,
        path: &str,
        span: Span,
        checksum: Option<&str>,
        name: &str,
    ) -> Result<CopySource, PlanError> {
        let span = self.place(span);
        let flags = request.add;
        let known_git = flags.is_some_and(|flags| flags.keep_git_dir.is_some());
        match (remote::classify(path, known_git), flags) {
            (Some(Remote::Git), None) => Err(PlanError::new(span, "source can't be a git ref for COPY")),
            (Some(Remote::Http), None) => Err(PlanError::new(span, "source can't be a URL for COPY")),
            (Some(Remote::Git), Some(flags)) => {
                let op = git_op(path, flags.keep_git_dir, checksum)
                    .map_err(|message| PlanError::new(span, message))?;
                let input = self.planner.nodes.git(op, name.to_owned());
                Ok(CopySource { input, path: "/".to_owned(), kind: SourceKind::Git, span: Some(span) })
            }
            (Some(Remote::Http), Some(flags)) => {
                let checksum = checksum
                    .map(str::parse::<Digest>)
                    .transpose()
                    .map_err(|error| PlanError::new(span, error.to_string()))?;
                let filename = remote::url_file_name(path);
                let op = HttpOp { url: path.to_owned(), checksum, filename: filename.clone() };
                let input = self.planner.nodes.http(op, name.to_owned());
                let kind = SourceKind::Http { unpack: flags.unpack.unwrap_or(false) };
                Ok(CopySource { input, path: filename.unwrap_or_default(), kind, span: Some(span) })
            }
            (None, flags) => {
                self.check_path(request, path, span)?;
                let input = request.input.unwrap_or_else(|| self.planner.nodes.local(MAIN_CONTEXT));
                let kind = match flags {
                    Some(flags) if flags.unpack.unwrap_or(true) => SourceKind::UnpackIfArchive,
                    _ => SourceKind::Files { preserve_owner: self.keeps_owners(input) },
                };
                Ok(CopySource { input, path: path.to_owned(), kind, span: Some(span) })
            }
        }
    }

    /// Files from the client or the network have no owner of their own.
    fn keeps_owners(&self, input: StepId) -> bool {
        let op = self.planner.nodes.dag.node_weight(input).map(|step| &step.op);
        !matches!(op, Some(Op::Local(_) | Op::Git(_) | Op::Http(_)))
    }

    /// Refuses malformed patterns, and warns of what the ignore file leaves out.
    fn check_path(&mut self, request: &Request, path: &str, span: Span) -> Result<(), PlanError> {
        if !request.parents && gopath::has_wildcard(path.as_bytes()) {
            gopath::matches(path.as_bytes(), b"")
                .map_err(|error| PlanError::new(span, format!("{error}: {path}")))?;
        }
        let Some(matcher) = self.planner.ignore.as_ref().filter(|matcher| !matcher.has_reincludes()) else {
            return Ok(());
        };
        if !request.from_context {
            return Ok(());
        }
        let clean = gopath::clean_str(path);
        let is_root = matches!(clean.as_str(), "." | "/");
        let all =
            |pattern: &crate::dockerignore::Pattern| matches!(pattern.text.as_str(), "*" | "**" | "**/*");
        if is_root && !matcher.patterns().iter().any(all) {
            return Ok(());
        }
        if matcher.is_excluded(clean.as_bytes()) {
            let verb = if request.add.is_some() { "Add" } else { "Copy" };
            let message = format!("Attempting to {verb} file \"{clean}\" that is excluded by .dockerignore");
            let place = self.span;
            self.planner.warn("CopyIgnoredFile", place, message);
        }
        Ok(())
    }

    /// Heredocs, which come after the paths.
    fn inline_sources(
        &mut self,
        request: &Request,
        history: &mut Vec<String>,
    ) -> Result<Vec<CopySource>, PlanError> {
        let mut files: Vec<InlineFile> = Vec::new();
        let mut words = Vec::new();
        for word in request.sources {
            let ast::CopySource::Heredoc { name, expand, content, span } = word else { continue };
            history.push(format!("<<{name}"));
            let file_name = heredoc_file_name(name).map_err(|message| self.error(*span, message))?;
            words.push((file_name.clone(), *span));
            let content = if *expand { self.heredoc(content, *span)? } else { content.clone() };
            files.retain(|file| file.name != file_name);
            files.push(InlineFile { name: file_name, content, mode: 0o644 });
        }
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let input = self.add_source(Op::Inline(files), "[internal] preparing inline document");
        Ok(words
            .into_iter()
            .map(|(path, span)| CopySource {
                input,
                path,
                kind: SourceKind::Inline,
                span: Some(self.place(span)),
            })
            .collect())
    }

    fn heredoc(&mut self, content: &[u8], span: Span) -> Result<Vec<u8>, PlanError> {
        let place = self.place(span);
        let text = String::from_utf8_lossy(content);
        let expanded =
            self.planner.expander.heredoc(&text, &self.state.env).map_err(PlanError::expand(place))?;
        self.warn_unset(&expanded.unmatched);
        Ok(expanded.value.into_bytes())
    }

    fn checksum(&mut self, request: &Request, flags: AddFlags) -> Result<Option<String>, PlanError> {
        let Some(flag) = flags.checksum else { return Ok(None) };
        let Some(checksum) = self.optional_word(Some(flag))? else { return Ok(None) };
        let paths: Vec<&Text> = request
            .sources
            .iter()
            .filter_map(|source| match source {
                ast::CopySource::Path(text) => Some(text),
                ast::CopySource::Heredoc { .. } => None,
            })
            .collect();
        let [path] = paths[..] else {
            return Err(self.error(flag.span, "checksum can't be specified for multiple sources"));
        };
        let path = self.word(path)?;
        match remote::classify(&path, flags.keep_git_dir.is_some()) {
            None => Err(self.error(flag.span, "checksum requires HTTP(S) or Git sources")),
            Some(Remote::Git) => Ok(Some(checksum)),
            Some(Remote::Http) => {
                check_digest(&checksum).map_err(|message| self.error(flag.span, message))?;
                Ok(Some(checksum))
            }
        }
    }

    /// Joins a destination to the working directory. A slash or `/.` at its end says that it is a directory, and
    /// stays.
    fn destination(&self, path: &str) -> String {
        let path = if matches!(path, "" | ".") { "./" } else { path };
        let clean = self.resolve_path(path);
        let ending = if path.ends_with('/') {
            "/"
        } else if path.ends_with("/.") {
            "/."
        } else {
            ""
        };
        if clean == "/" { format!("/{}", ending.trim_start_matches('/')) } else { format!("{clean}{ending}") }
    }
}

pub(super) fn git_op(url: &str, keep_git_dir: Option<bool>, checksum: Option<&str>) -> Result<GitOp, String> {
    let query = remote::git_query(url)?;
    let keep_git_dir = match (keep_git_dir, query.keep_git_dir) {
        (Some(flag), Some(query)) if flag != query => {
            return Err("inconsistent keep-git-dir configuration".to_owned());
        }
        (flag, query) => query.or(flag).unwrap_or(false),
    };
    let checksum = match (checksum, query.checksum) {
        (Some(flag), Some(query)) if flag != query => {
            return Err(format!("checksum mismatch \"{flag}\" != \"{query}\""));
        }
        (flag, query) => query.or_else(|| flag.map(str::to_owned)),
    };
    Ok(GitOp { url: url.to_owned(), keep_git_dir, checksum })
}

fn check_digest(text: &str) -> Result<(), String> {
    use cooper_oci::DigestError;
    match text.parse::<Digest>() {
        Ok(_) => Ok(()),
        Err(DigestError::UnsupportedAlgorithm { .. }) => Err("unsupported digest algorithm".to_owned()),
        Err(_) => Err("invalid checksum digest format".to_owned()),
    }
}

/// Octal bits, or clauses such as `u=rwX,go-w`; the error is a message.
fn parse_chmod(text: &str) -> Result<Chmod, String> {
    let not_octal =
        || format!("invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777");
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777);
        return bits.map(Chmod::Octal).ok_or_else(not_octal);
    }
    if text.split(',').all(is_clause) {
        Ok(Chmod::Symbolic(text.to_owned()))
    } else {
        Err(format!("invalid chmod parameter: '{text}'"))
    }
}

/// `[ugoa...][[+-=][perms...]...]`
fn is_clause(clause: &str) -> bool {
    let mut rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let Some(behind) = rest.strip_prefix(['+', '-', '=']) else { return false };
        rest = match behind.strip_prefix(['u', 'g', 'o']) {
            Some(behind) => behind,
            None => behind.trim_start_matches(['r', 'w', 'x', 'X', 's', 't']),
        };
    }
    true
}
