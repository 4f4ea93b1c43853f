//! A syntax tree as text again.
//!
//! Reading the text gives the same tree, but for the places and for [`crate::ast::Dockerfile::warnings`]: each
//! instruction stands on one line (a very long one on several), blank lines and loose comments are gone.

use crate::ast::{CheckOptions, Command, Comment, Dockerfile, Instruction, Source};
use crate::parser::is_continued;

/// Lines longer than this are broken; the parser takes a little more.
const LONG_LINE_BYTES: usize = 60_000;

/// Prints a file. The result is text, unless a heredoc holds other bytes.
pub fn print(file: &Dockerfile) -> Vec<u8> {
    let mut out = Vec::new();
    let directives = &file.directives;
    if let Some(syntax) = &directives.syntax {
        line(&mut out, &format!("# syntax={}", syntax.value));
    }
    if let Some(escape) = &directives.escape {
        line(&mut out, &format!("# escape={}", escape.value));
    }
    if let Some(check) = &directives.check {
        line(&mut out, &format!("# check={}", check_options(&check.value)));
    }
    // Ends the directives: a comment that looks like one stays a comment.
    line(&mut out, "");
    for instruction in &file.global_args {
        print_instruction(&mut out, instruction, file.escape());
    }
    for stage in &file.stages {
        print_source(&mut out, &stage.source, "", file.escape());
        for instruction in &stage.instructions {
            print_instruction(&mut out, instruction, file.escape());
        }
    }
    out
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

fn check_options(options: &CheckOptions) -> String {
    let list = |key: &str, all: bool, rules: &[String]| match (all, rules) {
        (true, _) => Some(format!("{key}=all")),
        (false, []) => None,
        (false, rules) => Some(format!("{key}={}", rules.join(","))),
    };
    let parts = [
        list("skip", options.skip_all, &options.skip),
        list("experimental", options.experimental_all, &options.experimental),
        Some(format!("error={}", options.error)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(";")
}

fn print_instruction(out: &mut Vec<u8>, instruction: &Instruction, escape: char) {
    // A trigger keeps the blanks at its end, which the original has lost.
    let tail = match &instruction.command {
        Command::OnBuild(onbuild) => {
            let line = onbuild.trigger.value.split('\n').next().unwrap_or_default();
            &line[line.trim_end().len()..]
        }
        _ => "",
    };
    print_source(out, &instruction.source, tail, escape);
}

fn print_source(out: &mut Vec<u8>, source: &Source, tail: &str, escape: char) {
    for Comment { text, .. } in &source.comments {
        line(out, &format!("# {text}"));
    }
    let text = format!("{}{tail}", source.original);
    let mut rest = text.as_str();
    while let Some(cut) = break_point(rest, escape) {
        let (first, behind) = rest.split_at(cut);
        line(out, &format!("{first}{escape}"));
        rest = behind;
    }
    // Blanks behind what looks like a continuation were trimmed; one that the parser trims again takes their place.
    let guard = if is_continued(rest, escape) { "\u{b}" } else { "" };
    line(out, &format!("{rest}{guard}"));
    for heredoc in &source.heredocs {
        out.extend_from_slice(&heredoc.content);
        line(out, &heredoc.name);
    }
}

/// Where a long line may be broken: between letters or digits, so that no rule for blanks or comments applies.
fn break_point(text: &str, escape: char) -> Option<usize> {
    if text.len() <= LONG_LINE_BYTES {
        return None;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() && char::from(byte) != escape;
    let bytes = text.as_bytes();
    (1..LONG_LINE_BYTES).rev().find(|at| plain(bytes[at - 1]) && plain(bytes[*at]))
}
