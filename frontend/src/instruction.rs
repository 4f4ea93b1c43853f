//! Words to instructions: arity, flags, names, and the values that are checked before any variable is known.
//!
//! Messages are BuildKit's. Must not: expand anything; what may hold variables stays text.

use crate::ast::{
    Arg, ArgDefinition, Command, EnvLabel, From, OnBuild, Pair, ShellOrExec, Spanned, StageName, Volume,
};
use crate::error::{ParseError, did_you_mean};
use crate::parser::node::{Args, Node};
use crate::parser::words::Word;

mod copy;
mod csv;
mod duration;
mod flags;
mod healthcheck;
mod mount;
mod run;
mod size;
#[cfg(test)]
mod tests;

use flags::Flags;

/// All keywords.
pub(crate) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// An instruction by its place in the tree.
pub(crate) enum Parsed {
    /// Starts a stage.
    From(From),
    /// All others.
    Command(Command),
}

/// Reads a node.
pub(crate) fn read(node: &Node) -> Result<Parsed, ParseError> {
    let keyword = node.keyword.text.to_ascii_uppercase();
    let command = match keyword.as_str() {
        "FROM" => return from(node).map(Parsed::From),
        "ADD" => Command::Add(copy::add(node)?),
        "ARG" => Command::Arg(arg(node)?),
        "CMD" => Command::Cmd(command_line(node)?),
        "COPY" => Command::Copy(copy::copy(node)?),
        "ENTRYPOINT" => Command::Entrypoint(command_line(node)?),
        "ENV" => Command::Env(pairs(node, "ENV")?),
        "EXPOSE" => {
            let words = at_least_one(node, "EXPOSE")?;
            Flags::none(node)?;
            Command::Expose(words.iter().map(|word| node.text(word)).collect())
        }
        "HEALTHCHECK" => Command::Healthcheck(healthcheck::read(node)?),
        "LABEL" => Command::Label(pairs(node, "LABEL")?),
        "MAINTAINER" => Command::Maintainer(exactly_one(node, "MAINTAINER")?),
        "ONBUILD" => Command::OnBuild(onbuild(node)?),
        "RUN" => Command::Run(run::read(node)?),
        "SHELL" => Command::Shell(shell(node)?),
        // Flags before the signal are not looked at.
        "STOPSIGNAL" => Command::StopSignal(one_word(node, "STOPSIGNAL")?),
        "USER" => Command::User(exactly_one(node, "USER")?),
        "VOLUME" => Command::Volume(volume(node)?),
        "WORKDIR" => Command::Workdir(exactly_one(node, "WORKDIR")?),
        _ => {
            let written = &node.keyword.text;
            let hint = did_you_mean(written, KEYWORDS);
            let span = node.span_of(&node.keyword.range);
            return Err(ParseError::new(span, format!("unknown instruction: {written}")).with_hint(hint));
        }
    };
    Ok(Parsed::Command(command))
}

/// The words of a node whose arguments are words, and whether they are JSON.
fn words(node: &Node) -> (&[Word], bool) {
    match &node.args {
        Args::Words { words, json } => (words, *json),
        _ => (&[], false),
    }
}

fn at_least_one<'a>(node: &'a Node, keyword: &str) -> Result<&'a [Word], ParseError> {
    let (words, _) = words(node);
    if words.is_empty() {
        return Err(node.error(format!("{keyword} requires at least one argument")));
    }
    Ok(words)
}

fn one_word(node: &Node, keyword: &str) -> Result<Spanned<String>, ParseError> {
    match words(node).0 {
        [word] => Ok(node.text(word)),
        _ => Err(node.error(format!("{keyword} requires exactly one argument"))),
    }
}

fn exactly_one(node: &Node, keyword: &str) -> Result<Spanned<String>, ParseError> {
    let word = one_word(node, keyword)?;
    Flags::none(node)?;
    Ok(word)
}

/// Shell or exec form; nothing at all is an empty text for the shell.
fn shell_or_exec(words: &[Word], json: bool) -> ShellOrExec {
    if json {
        ShellOrExec::Exec(words.iter().map(|word| word.text.clone()).collect())
    } else {
        ShellOrExec::Shell(words.first().map(|word| word.text.clone()).unwrap_or_default())
    }
}

fn command_line(node: &Node) -> Result<ShellOrExec, ParseError> {
    Flags::none(node)?;
    let (words, json) = words(node);
    Ok(shell_or_exec(words, json))
}

fn from(node: &Node) -> Result<From, ParseError> {
    let (words, _) = words(node);
    let (base, name) = match words {
        [base] => (base, None),
        [base, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => (base, Some((keyword, name))),
        _ => return Err(node.error("FROM requires either one or three arguments")),
    };
    let stage_name = name.map(|(_, word)| stage_name(node, word)).transpose()?;
    let mut flags = Flags::new(node);
    let platform = flags.text("platform");
    flags.check()?;
    Ok(From {
        base: node.text(base),
        name: stage_name,
        as_keyword: name.map(|(keyword, _)| node.text(keyword)),
        platform,
    })
}

fn stage_name(node: &Node, word: &Word) -> Result<StageName, ParseError> {
    let span = node.span_of(&word.range);
    let value = word.text.to_lowercase();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if !value.starts_with(|c: char| c.is_ascii_lowercase()) || !value.chars().all(allowed) {
        let message = format!(
            "invalid name for build stage: {:?}, name can't start with a number or contain symbols",
            word.text
        );
        return Err(ParseError::new(span, message));
    }
    Ok(StageName { value, written: word.text.clone(), span })
}

/// Flags before the names are not looked at.
fn arg(node: &Node) -> Result<Arg, ParseError> {
    let mut definitions = Vec::new();
    for word in at_least_one(node, "ARG")? {
        let span = node.span_of(&word.range);
        let Some((name, default)) = word.text.split_once('=') else {
            definitions.push(ArgDefinition { name: node.text(word), default: None, span });
            continue;
        };
        if name.is_empty() {
            return Err(ParseError::new(span, "ARG names can not be blank"));
        }
        let cut = word.range.start + name.len();
        definitions.push(ArgDefinition {
            name: Spanned::new(name.to_owned(), node.span_of(&(word.range.start..cut))),
            default: Some(Spanned::new(default.to_owned(), node.span_of(&(cut + 1..word.range.end)))),
            span,
        });
    }
    Ok(Arg { definitions })
}

fn pairs(node: &Node, keyword: &str) -> Result<EnvLabel, ParseError> {
    Flags::none(node)?;
    let Args::Pairs { pairs: words, legacy } = &node.args else {
        return Err(node.error(format!("{keyword} requires at least one argument")));
    };
    if words.is_empty() {
        return Err(node.error(format!("{keyword} requires at least one argument")));
    }
    let mut pairs = Vec::with_capacity(words.len());
    for (name, value) in words {
        let span = node.span_of(&(name.range.start..value.range.end));
        if name.text.is_empty() {
            return Err(ParseError::new(span, format!("{keyword} names can not be blank")));
        }
        pairs.push(Pair { name: node.text(name), value: node.text(value), span });
    }
    Ok(EnvLabel { pairs, legacy: *legacy })
}

fn onbuild(node: &Node) -> Result<OnBuild, ParseError> {
    let Args::Nested { keyword, .. } = &node.args else {
        return Err(node.error("ONBUILD requires at least one argument"));
    };
    Flags::none(node)?;
    let span = node.span_of(&keyword.range);
    match keyword.text.to_ascii_uppercase().as_str() {
        "ONBUILD" => {
            return Err(ParseError::new(span, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"));
        }
        keyword @ ("FROM" | "MAINTAINER") => {
            return Err(ParseError::new(span, format!("{keyword} isn't allowed as an ONBUILD trigger")));
        }
        _ => {}
    }
    let text = &node.line.text;
    let rest = &text[node.keyword.range.end..];
    let start = text.len() - rest.trim_start_matches(['\t', '\n', '\u{c}', '\r', ' ']).len();
    let trigger = crate::ast::with_heredocs(&text[start..], &node.heredocs);
    let line = node.span_of(&(start..text.len()));
    Ok(OnBuild {
        trigger: Spanned::new(trigger, line.join(crate::ast::Span { start: line.start, ..node.span })),
    })
}

fn shell(node: &Node) -> Result<Vec<String>, ParseError> {
    Flags::none(node)?;
    let words = at_least_one(node, "SHELL")?;
    match shell_or_exec(words, self::words(node).1) {
        ShellOrExec::Exec(words) => Ok(words),
        ShellOrExec::Shell(_) => Err(node.error("SHELL requires the arguments to be in JSON form")),
    }
}

fn volume(node: &Node) -> Result<Volume, ParseError> {
    let words = at_least_one(node, "VOLUME")?;
    Flags::none(node)?;
    let mut paths = Vec::with_capacity(words.len());
    for word in words {
        let span = node.span_of(&word.range);
        let path = word.text.trim();
        if path.is_empty() {
            return Err(ParseError::new(span, "VOLUME specified can not be an empty string"));
        }
        paths.push(Spanned::new(path.to_owned(), span));
    }
    Ok(Volume { paths })
}
