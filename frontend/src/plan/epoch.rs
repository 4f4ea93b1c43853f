//! `SOURCE_DATE_EPOCH` given as a keyword: the main context, a named context, or a stage that fetches one thing.

use std::collections::BTreeMap;

use cooper_oci::{Digest, Platform};

use super::args::{BuildArgs, EPOCH};
use super::env::EnvList;
use super::{PlanError, copy};
use crate::ast::{Add, Command, CopySource, Dockerfile, Span};
use crate::context;
use crate::expand::Expander;
use crate::graph::{GitOp, HttpOp, NamedContext, PlanOptions};
use crate::remote::{self, Remote};

/// What dates a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EpochSource {
    /// The main build context.
    MainContext,
    /// A named one.
    Context(NamedContext),
    /// The download that a stage makes.
    Http(HttpOp),
    /// The repository that a stage fetches.
    Git(GitOp),
}

/// What dates the build, if `SOURCE_DATE_EPOCH` is neither a number nor unset. Its time goes into
/// [`PlanOptions::keyword_epoch`].
pub fn epoch_source(file: &Dockerfile, options: &PlanOptions) -> Result<Option<EpochSource>, PlanError> {
    let build = options.build_platform.clone().unwrap_or_else(Platform::host).normalized();
    let target = options.platform.as_ref().map_or_else(|| build.clone(), Platform::normalized);
    let args = BuildArgs::new(file, options, &Expander::new(file.escape()), &target, &build)?;
    Ok(args.epoch_source)
}

pub(super) fn source(
    value: &str,
    file: &Dockerfile,
    options: &PlanOptions,
    expander: &Expander,
    mut env: EnvList,
    given: &BTreeMap<String, String>,
) -> Result<EpochSource, PlanError> {
    if value == "context" {
        return Ok(EpochSource::MainContext);
    }
    if let Some((_, context)) = context::lookup(&options.named_contexts, value, &Platform::host()) {
        return Ok(EpochSource::Context(context.clone()));
    }
    let stage =
        file.stages.iter().find(|stage| stage.name().is_some_and(|name| name.eq_ignore_ascii_case(value)));
    let Some(stage) = stage else {
        return Err(PlanError::new(None, format!("invalid {EPOCH}: {value}")));
    };
    let span = stage.from.base.span;
    let base = expander.word(stage.from.base.as_str(), &env).map_err(PlanError::expand(span))?;
    if base.value != "scratch" {
        return Err(PlanError::new(span, format!("{EPOCH} stage must use FROM scratch")));
    }
    let mut found = None;
    for instruction in &stage.instructions {
        let span = instruction.source.span;
        match &instruction.command {
            Command::Arg(arg) => {
                for definition in &arg.definitions {
                    let name = definition.name.as_str();
                    if let Some(value) = given.get(name) {
                        env.set(name, value);
                    } else if let Some(default) = &definition.default {
                        let value = expander.word(default.as_str(), &env);
                        let value = value.map_err(PlanError::expand(default.span))?.value;
                        env.set(name, &value);
                    }
                }
            }
            Command::Add(_) if found.is_some() => return Err(one_add(span)),
            Command::Add(add) => found = Some(of_add(add, span, expander, &env)?),
            other => {
                let message = format!(
                    "{EPOCH} stage does not meet source-only requirements: unsupported {} instruction",
                    other.keyword()
                );
                return Err(PlanError::new(span, message));
            }
        }
    }
    found.ok_or_else(|| one_add(span))
}

fn one_add(span: Span) -> PlanError {
    PlanError::new(span, format!("{EPOCH} stage must contain exactly one remote ADD"))
}

fn of_add(add: &Add, span: Span, expander: &Expander, env: &EnvList) -> Result<EpochSource, PlanError> {
    let [CopySource::Path(path)] = add.sources.as_slice() else {
        return Err(PlanError::new(
            span,
            format!("{EPOCH} stage must contain exactly one remote ADD source"),
        ));
    };
    let url = expander.word(path.as_str(), env).map_err(PlanError::expand(path.span))?.value;
    let checksum = match &add.checksum {
        Some(text) => Some(expander.word(text.as_str(), env).map_err(PlanError::expand(text.span))?.value),
        None => None,
    };
    let checksum = checksum.filter(|text| !text.is_empty());
    let failed = |message: String| PlanError::new(span, message);
    match remote::classify(&url, add.keep_git_dir.is_some()) {
        Some(Remote::Git) => {
            copy::git_op(&url, add.keep_git_dir, checksum.as_deref()).map(EpochSource::Git).map_err(failed)
        }
        Some(Remote::Http) => {
            let checksum = checksum.map(|text| text.parse::<Digest>()).transpose();
            let checksum = checksum.map_err(|error| failed(error.to_string()))?;
            let filename = remote::url_file_name(&url);
            Ok(EpochSource::Http(HttpOp { url, checksum, filename }))
        }
        None => Err(failed(format!("{EPOCH} stage source must be a single HTTP(S) or Git ADD"))),
    }
}
