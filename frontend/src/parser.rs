//! Text to syntax tree.
//!
//! Two passes, as BuildKit has them, so that of several mistakes the same one is reported: first the whole file is
//! cut into logical lines, each taken apart by the rules of its keyword ([`node`]) with its heredoc bodies; then each
//! node is read as an instruction ([`crate::instruction`]) and put into its stage.
//!
//! Must not: expand variables, look at anything but the text, or panic, whatever the bytes.

use crate::ast::{Comment, Dockerfile, Heredoc, Instruction, Span, Stage, Warning, WarningKind};
use crate::error::ParseError;
use crate::instruction::{self, Parsed};

mod directive;
pub(crate) mod heredoc;
mod json;
mod lines;
pub(crate) mod node;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use directive::DirectiveReader;
pub(crate) use directive::go_bool;
pub use directive::{check_comment, parse_check_options};
use lines::{Line, Lines, Logical, before_continuation, comment_start, leading_blank};
use node::Node;

/// Reads a whole file. It stops at the first mistake.
pub fn parse(text: &[u8]) -> Result<Dockerfile, ParseError> {
    if text.is_empty() {
        return Err(ParseError::new(Lines::new(text).here(), "the Dockerfile cannot be empty"));
    }
    let Cut { nodes, reader, warnings, end } = cut(text)?;
    let mut file =
        Dockerfile { directives: reader.finish(text), global_args: Vec::new(), stages: Vec::new(), warnings };
    for node in &nodes {
        match (instruction::read(node)?, file.stages.last_mut()) {
            (Parsed::From(from), _) => {
                let stage = Stage { source: node.source(), from, instructions: Vec::new(), span: node.span };
                file.stages.push(stage);
            }
            (Parsed::Command(command), Some(stage)) => {
                stage.span = stage.span.join(node.span);
                stage.instructions.push(Instruction { source: node.source(), command });
            }
            (Parsed::Command(command @ crate::ast::Command::Arg(_)), None) => {
                file.global_args.push(Instruction { source: node.source(), command });
            }
            (Parsed::Command(_), None) => {
                let hint = "the first instruction besides ARG must be FROM".to_owned();
                return Err(node.error("no build stage in current context").with_hint(Some(hint)));
            }
        }
    }
    if file.stages.is_empty() {
        return Err(ParseError::new(end, "dockerfile contains no stages to build"));
    }
    Ok(file)
}

/// Reads one instruction that an image's ONBUILD list holds. Spans are places in the trigger's text.
pub fn parse_onbuild_trigger(trigger: &str) -> Result<Instruction, ParseError> {
    let Cut { nodes, end, .. } = cut(trigger.as_bytes())?;
    let [node] = &nodes[..] else {
        return Err(ParseError::new(end, "onbuild trigger should be a single expression"));
    };
    match instruction::read(node)? {
        Parsed::Command(command) => Ok(Instruction { source: node.source(), command }),
        Parsed::From(_) => Err(node.error("FROM isn't allowed as an ONBUILD trigger")),
    }
}

/// A file cut into instructions.
struct Cut {
    nodes: Vec<Node>,
    reader: DirectiveReader,
    warnings: Vec<Warning>,
    end: Span,
}

fn cut(text: &[u8]) -> Result<Cut, ParseError> {
    let mut lines = Lines::new(text);
    let mut reader = DirectiveReader::default();
    let mut warnings = Vec::new();
    let mut comments = Vec::new();
    let mut nodes = Vec::new();
    while let Some(line) = lines.next()? {
        let is_directive = reader.line(&line)?;
        if let Some(start) = comment_start(line.text()) {
            if !is_directive {
                note_comment(&mut comments, &line, start);
            }
            continue;
        }
        let escape = reader.escape();
        let Some(logical) = join(&mut lines, line, escape, &mut warnings)? else { continue };
        let mut node = Node::read(logical, escape, std::mem::take(&mut comments))?;
        if node.takes_heredocs() && node.line.text.contains("<<") {
            read_heredocs(&mut lines, &mut node)?;
        }
        nodes.push(node);
    }
    if nodes.is_empty() {
        return Err(ParseError::new(lines.here(), "file with no instructions"));
    }
    Ok(Cut { nodes, reader, warnings, end: lines.here() })
}

/// Keeps the comments above an instruction; an empty one starts a new block, a blank line does not.
fn note_comment(comments: &mut Vec<Comment>, line: &Line<'_>, start: usize) {
    let text = line.text();
    let value = String::from_utf8_lossy(&text[start + 1..]).trim().to_owned();
    if value.is_empty() {
        comments.clear();
    } else {
        let span = Span { start: line.start + start, ..line.span() };
        comments.push(Comment { text: value, span });
    }
}

/// Joins a line with those that continue it. `None` for a blank line.
fn join(
    lines: &mut Lines<'_>,
    first: Line<'_>,
    escape: char,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Logical>, ParseError> {
    // Both escape characters are one byte.
    let escape = if escape == '`' { b'`' } else { b'\\' };
    let mut logical = Logical::default();
    let text = first.text();
    let blank = leading_blank(text);
    let Some(cut) = before_continuation(&text[blank..], escape) else {
        if blank == text.len() {
            return Ok(None);
        }
        logical.push(&first, blank..text.len());
        return Ok(Some(logical));
    };
    logical.push(&first, blank..blank + cut);
    let mut empty = false;
    while let Some(line) = lines.next()? {
        let text = line.text();
        if comment_start(text).is_some() {
            continue;
        }
        if leading_blank(text) == text.len() {
            empty = true;
            continue;
        }
        if let Some(cut) = before_continuation(text, escape) {
            logical.push(&line, 0..cut);
        } else {
            logical.push(&line, 0..text.len());
            break;
        }
    }
    if empty {
        warnings.push(Warning { kind: WarningKind::EmptyContinuation, span: logical.last_line() });
    }
    Ok(Some(logical))
}

/// Whether the next line continues this one.
pub(crate) fn is_continued(line: &str, escape: char) -> bool {
    before_continuation(line.as_bytes(), if escape == '`' { b'`' } else { b'\\' }).is_some()
}

/// Reads the bodies of all heredocs that a line announces.
fn read_heredocs(lines: &mut Lines<'_>, node: &mut Node) -> Result<(), ParseError> {
    let markers = heredoc::markers(&node.line.text).map_err(|error| node.error(error.to_string()))?;
    for marker in markers {
        let mut content = Vec::new();
        let mut span: Option<Span> = None;
        loop {
            let Some(line) = lines.next()? else {
                let hint = format!("a line with nothing but {} must follow", marker.name);
                return Err(node.error("unterminated heredoc").with_hint(Some(hint)));
            };
            let mut end_word = line.text();
            if marker.chomp {
                let tabs = end_word.iter().take_while(|byte| **byte == b'\t').count();
                end_word = &end_word[tabs..];
            }
            let here = line.span();
            if end_word == marker.name.as_bytes() {
                node.span = node.span.join(here);
                let span = span.unwrap_or(Span { end: here.start, ..here });
                node.heredocs.push(Heredoc {
                    name: marker.name,
                    expand: marker.expand,
                    chomp: marker.chomp,
                    fd: marker.fd,
                    content,
                    span,
                });
                break;
            }
            content.extend_from_slice(line.raw);
            let whole = Span { end: line.start + line.raw.len(), ..here };
            span = Some(span.map_or(whole, |span| span.join(whole)));
        }
    }
    Ok(())
}
