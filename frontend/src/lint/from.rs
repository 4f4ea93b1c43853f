//! Rules about FROM.

use std::collections::BTreeMap;

use cooper_oci::{Platform, Reference};

use super::Linter;
use crate::ast::{Command, Dockerfile, Stage, Text};
use crate::expand::Expander;

/// Arguments that FROM knows without a declaration, with values that may stand in for the real ones.
const PREDEFINED: [(&str, &str); 11] = [
    ("BUILDPLATFORM", "linux/amd64"),
    ("BUILDOS", "linux"),
    ("BUILDOSVERSION", ""),
    ("BUILDARCH", "amd64"),
    ("BUILDVARIANT", ""),
    ("TARGETPLATFORM", "linux/amd64"),
    ("TARGETOS", "linux"),
    ("TARGETOSVERSION", ""),
    ("TARGETARCH", "amd64"),
    ("TARGETVARIANT", ""),
    ("TARGETSTAGE", "default"),
];

/// With nothing but defaults, every base must have a name that can be one.
pub(super) fn default_bases(linter: &mut Linter<'_>, file: &Dockerfile) {
    let expander = Expander::new(file.escape());
    let mut args: BTreeMap<String, String> =
        PREDEFINED.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for instruction in &file.global_args {
        let Command::Arg(arg) = &instruction.command else { continue };
        for definition in &arg.definitions {
            let Some(default) = &definition.default else { continue };
            // A default that cannot be expanded fails the build anyway.
            let Ok(value) = expander.word(default.as_str(), &args) else { return };
            args.insert(definition.name.value.clone(), value.value);
        }
    }
    for stage in &file.stages {
        let base = stage.from.base.as_str();
        let Ok(expanded) = expander.word(base, &args) else { return };
        if expanded.value.parse::<Reference>().is_err() {
            let message = format!("Default value for ARG {base} results in empty or invalid base image name");
            linter.report("InvalidDefaultArgInFrom", &[], stage.source.span, message);
        }
    }
}

/// Rules for one FROM.
pub(super) fn stage(linter: &mut Linter<'_>, stage: &Stage, escape: char) {
    let (source, from) = (&stage.source, &stage.from);
    if let Some(name) = &from.name {
        if name.written != name.written.to_lowercase() {
            let message = format!("Stage name '{}' should be lowercase", name.written);
            linter.report("StageNameCasing", &source.comments, source.span, message);
        }
        linter.description("FROM", &[&name.value], &source.comments, source.span);
    }
    if let Some(word) = &from.as_keyword {
        let (keyword, word) = (source.keyword.as_str(), word.as_str());
        // A keyword of mixed case is another rule's matter.
        let matches = if keyword == keyword.to_lowercase() {
            word == word.to_lowercase()
        } else {
            keyword != keyword.to_uppercase() || word == word.to_uppercase()
        };
        if !matches {
            let message = format!("'{word}' and '{keyword}' keywords' casing do not match");
            linter.report("FromAsCasing", &source.comments, source.span, message);
        }
    }
    if let Some(text) = &from.platform {
        platform(linter, stage, text, escape);
    }
}

fn platform(linter: &mut Linter<'_>, stage: &Stage, text: &Text, escape: char) {
    const TARGET: &str = "any/thing";
    let source = &stage.source;
    let target = vec![("TARGETPLATFORM".to_owned(), TARGET.to_owned())];
    let Ok(expanded) = Expander::new(escape).word(text.as_str(), &target) else { return };
    if !expanded.unmatched.is_empty() {
        return;
    }
    if !expanded.used.is_empty() {
        if expanded.value == TARGET {
            let message = format!(
                "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
                text.value
            );
            linter.report("RedundantTargetPlatform", &source.comments, source.span, message);
        }
        return;
    }
    let Ok(platform) = Platform::parse(&expanded.value) else { return };
    let name = stage.name().unwrap_or_default();
    if !name.contains(&platform.os) && !name.contains(&platform.architecture) {
        let message = format!("FROM --platform flag should not use constant value \"{}\"", expanded.value);
        linter.report("FromPlatformFlagConstDisallowed", &source.comments, source.span, message);
    }
}
