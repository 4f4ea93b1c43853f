//! COPY and ADD.

use crate::ast::{Add, Copy, CopySource, Text};
use crate::error::ParseError;
use crate::parser::heredoc::{Marker, marker};
use crate::parser::node::Node;
use crate::parser::words::Word;

use super::flags::Flags;
use super::words;

pub(super) fn copy(node: &Node) -> Result<Copy, ParseError> {
    let arguments = arguments(node, "COPY");
    let mut flags = Flags::new(node);
    let (chown, from, chmod) = (flags.text("chown"), flags.text("from"), flags.text("chmod"));
    let (link, parents) = (flags.switch("link") == Some(true), flags.switch("parents") == Some(true));
    let excludes = flags.many("exclude");
    let (sources, destination) = checked(arguments, &flags)?;
    Ok(Copy { sources, destination, from, chown, chmod, link, parents, excludes })
}

pub(super) fn add(node: &Node) -> Result<Add, ParseError> {
    let arguments = arguments(node, "ADD");
    let mut flags = Flags::new(node);
    let (chown, chmod, checksum) = (flags.text("chown"), flags.text("chmod"), flags.text("checksum"));
    let link = flags.switch("link") == Some(true);
    let (keep_git_dir, unpack) = (flags.switch("keep-git-dir"), flags.switch("unpack"));
    let excludes = flags.many("exclude");
    let (sources, destination) = checked(arguments, &flags)?;
    Ok(Add { sources, destination, chown, chmod, checksum, link, keep_git_dir, unpack, excludes })
}

/// Sources and destination; too few of them, or a wrong one.
type Arguments = Result<(Vec<CopySource>, Text), (Wrong, ParseError)>;

enum Wrong {
    TooFew,
    Heredoc,
}

/// Too few arguments are reported before a wrong flag, a wrong heredoc after it.
fn checked(arguments: Arguments, flags: &Flags<'_>) -> Result<(Vec<CopySource>, Text), ParseError> {
    match arguments {
        Err((Wrong::TooFew, error)) => Err(error),
        arguments => {
            flags.check()?;
            arguments.map_err(|(_, error)| error)
        }
    }
}

fn arguments(node: &Node, keyword: &str) -> Arguments {
    let (words, _) = words(node);
    let Some((destination, sources @ [_, ..])) = words.split_last() else {
        let message = format!(
            "{keyword} requires at least two arguments, but only one was provided. Destination could not be \
             determined"
        );
        return Err((Wrong::TooFew, node.error(message)));
    };
    if marker(&destination.text).is_some() {
        let message = format!("{keyword} cannot accept a heredoc as a destination");
        return Err((Wrong::Heredoc, ParseError::new(node.span_of(&destination.range), message)));
    }
    let source = |word: &Word| match marker(&word.text) {
        None => CopySource::Path(node.text(word)),
        Some(marker) => heredoc(node, marker, node.span_of(&word.range)),
    };
    Ok((sources.iter().map(source).collect(), node.text(destination)))
}

fn heredoc(node: &Node, marker: Marker, span: crate::ast::Span) -> CopySource {
    let Marker { name, expand, chomp, .. } = marker;
    // A marker without a body (in a JSON array) makes an empty file.
    let body = node.heredocs.iter().rev().find(|heredoc| heredoc.name == name);
    let content = body.map(|body| crate::ast::strip_tabs(&body.content, chomp)).unwrap_or_default();
    CopySource::Heredoc { name, expand, content, span }
}
