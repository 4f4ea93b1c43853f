//! Lines, directives, continuations, heredocs, spans.
#![allow(clippy::unwrap_used)]

use super::{check_comment, parse, parse_check_options, parse_onbuild_trigger};
use crate::ast::{Command, CopySource, Dockerfile, ShellOrExec, Span, WarningKind};
use crate::error::ParseError;

fn read(text: &str) -> Dockerfile {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[track_caller]
fn fails(text: &str, message: &str) -> ParseError {
    let error = parse(text.as_bytes()).unwrap_err();
    assert_eq!(error.message, message, "{text:?}");
    error
}

/// The originals of the first stage.
fn originals(text: &str) -> Vec<String> {
    read(text).stages[0].instructions.iter().map(|i| i.source.original.clone()).collect()
}

#[test]
fn empty_files() {
    fails("", "the Dockerfile cannot be empty");
    fails("\n \n# x\n", "file with no instructions");
    fails("ARG A=1\n", "dockerfile contains no stages to build");
    let error = fails("# a\nRUN x\nFROM b\n", "no build stage in current context");
    assert_eq!((error.span.start, error.span.end), (4, 9));
}

#[test]
fn blanks_before_keywords_and_comments_do_not_count() {
    let text = "  FROM a\n\t# note\n \t run\tx  \n#RUN y\n";
    assert_eq!(originals(text), ["run\tx"]);
    assert_eq!(read(text).stages[0].instructions[0].source.keyword.value, "run");
}

#[test]
fn a_hash_inside_a_line_is_text() {
    assert_eq!(originals("FROM a\nRUN x # y\n"), ["RUN x # y"]);
}

#[test]
fn continuations_join_without_adding_anything() {
    assert_eq!(originals("FROM a\nRUN x\\\ny \\\n  z\n"), ["RUN xy   z"]);
    assert_eq!(originals("FROM a\nRUN x \\ \t\ny\n"), ["RUN x y"]);
    assert_eq!(originals("FROM a\nRUN x \\"), ["RUN x"]);
    // An escaped escape character continues nothing.
    assert_eq!(originals("FROM a\nRUN x \\\\\nRUN y\n"), ["RUN x \\\\", "RUN y"]);
    assert_eq!(originals("FROM a\n\\\nRUN y\n"), ["RUN y"]);
}

#[test]
fn comments_and_blank_lines_inside_a_continuation_are_dropped() {
    let text = "FROM a\nRUN x && \\\n  # why\n\n   \t\n  y\nRUN z\n";
    assert_eq!(originals(text), ["RUN x &&   y", "RUN z"]);
    let file = read(text);
    assert_eq!(file.warnings.len(), 1);
    assert_eq!(file.warnings[0].kind, WarningKind::EmptyContinuation);
    assert_eq!(file.warnings[0].span.start_line, 6);
    assert_eq!(read("FROM a\nRUN x \\\n# c\n y\n").warnings, []);
}

#[test]
fn line_breaks_of_both_kinds_and_a_byte_order_mark() {
    let file = read("\u{feff}# escape=`\r\nFROM a\r\nRUN x `\r\n  y\r\n");
    assert_eq!(file.escape(), '`');
    assert_eq!(file.stages[0].instructions[0].source.original, "RUN x   y");
    assert_eq!(file.directives.escape.unwrap().span, Span { start_line: 1, end_line: 1, start: 3, end: 13 });
}

#[test]
fn overlong_lines() {
    let text = format!("FROM a\nRUN {}\n", "x".repeat(65_535 - 4));
    assert_eq!(read(&text).stages[0].instructions.len(), 1);
    let text = format!("FROM a\nRUN {}\n", "x".repeat(65_535 - 3));
    let error = fails(&text, "dockerfile line greater than max allowed size of 65535");
    assert_eq!(error.span.start_line, 2);
}

#[test]
fn directives_stand_at_the_top() {
    let file = read("# Syntax = docker/dockerfile:1 x\n#check=skip=A, B;error=true\n# escape=`\nFROM a\n");
    assert_eq!(file.directives.syntax.unwrap().value, "docker/dockerfile:1 x");
    // The value ends at the first blank.
    let check = file.directives.check.unwrap().value;
    assert_eq!((check.skip, check.error), (vec!["A".to_owned(), String::new()], false));
    assert_eq!(file.directives.escape.unwrap().value, '`');
    for before in ["\n", "# note\n", "# other=x\n", "#!/bin/x\n", "ARG a\n"] {
        assert_eq!(read(&format!("{before}# escape=`\nFROM a\n")).escape(), '\\', "{before:?}");
    }
}

#[test]
fn syntax_and_check_count_behind_a_shebang() {
    let file = read("#!/usr/bin/env x\n# syntax=s\n# check=skip=all\nFROM a\n");
    assert_eq!(file.directives.syntax.unwrap().value, "s");
    assert!(file.directives.check.unwrap().value.skip_all);
}

#[test]
fn wrong_directives() {
    fails("# escape=x\nFROM a\n", "invalid escape token 'x' does not match ` or \\");
    let error = fails("# escape=`\n# escape=`\nFROM a\n", "only one escape parser directive can be used");
    assert_eq!(error.span.start_line, 2);
    fails("# syntax=a\n# syntax=b\nFROM a\n", "only one syntax parser directive can be used");
    fails("# check=skip\nFROM a\n", "invalid check option \"skip\"");
    fails("# check=x=y\nFROM a\n", "invalid check option \"x\"");
}

#[test]
fn check_options() {
    let options = parse_check_options("skip=A,B;experimental=all;error=1").unwrap();
    assert_eq!(options.skip, ["A", "B"]);
    assert!(options.experimental_all && options.error && !options.skip_all);
    assert_eq!(check_comment("check=skip=A").unwrap().skip, ["A"]);
    assert_eq!(check_comment("checks are good"), None);
    assert_eq!(check_comment("check=wrong"), None);
}

#[test]
fn comments_above_an_instruction_are_kept() {
    let text = "FROM a\n# gone\n#\n# one\n\n  # two\nRUN x\nRUN y\n";
    let stage = &read(text).stages[0];
    let comments = |index: usize| -> Vec<&str> {
        stage.instructions[index].source.comments.iter().map(|comment| comment.text.as_str()).collect()
    };
    assert_eq!(comments(0), ["one", "two"]);
    assert!(comments(1).is_empty());
    let span = stage.instructions[0].source.comments[1].span;
    assert_eq!(&text[span.start..span.end], "# two");
}

fn heredocs(text: &str) -> Vec<(String, bool, bool, u32, String)> {
    let file = read(&format!("FROM a\n{text}"));
    let last = file.stages[0].instructions.last().unwrap();
    let docs = last.source.heredocs.iter();
    docs.map(|d| (d.name.clone(), d.expand, d.chomp, d.fd, d.text().into_owned())).collect()
}

fn doc(name: &str, expand: bool, chomp: bool, fd: u32, text: &str) -> (String, bool, bool, u32, String) {
    (name.to_owned(), expand, chomp, fd, text.to_owned())
}

#[test]
fn heredocs_follow_their_line() {
    assert_eq!(heredocs("RUN <<EOF\nx\n\n# y\nEOF\n"), [doc("EOF", true, false, 0, "x\n\n# y\n")]);
    assert_eq!(heredocs("RUN <<EOF\nEOF"), [doc("EOF", true, false, 0, "")]);
    assert_eq!(
        heredocs("RUN cat <<one 3<<-\"two\" \\\n  > /f\n1\none\n\t2\n\ttwo\n"),
        [doc("one", true, false, 0, "1\n"), doc("two", false, true, 3, "\t2\n")]
    );
    assert_eq!(heredocs("copy <<a b <<c /d\n1\na\n2\nc\n").len(), 2);
    assert_eq!(heredocs("ADD << EOF /d\nEOF\n").len(), 1);
    assert_eq!(heredocs("COPY <<EOF /d\r\nx\r\nEOF\r\n"), [doc("EOF", true, false, 0, "x\r\n")]);
}

#[test]
fn quotes_in_the_end_word_turn_expansion_off() {
    for (marker, name, expand) in [
        ("<<'E'", "E", false),
        ("<<\"E\"", "E", false),
        ("<<E\"\"F", "EF", false),
        ("<<\\E", "E", true),
        ("<<$E", "$E", true),
        ("<<\"E F\"", "E F", false),
        ("<<E\\'", "E'", true),
    ] {
        assert_eq!(heredocs(&format!("RUN cat {marker}\n{name}\n")), [doc(name, expand, false, 0, "")]);
    }
}

#[test]
fn what_is_no_heredoc() {
    for line in [
        "RUN echo \"<<EOF\"",
        "RUN [\"cat\", \"<<EOF\"]",
        "RUN echo $((1<<4))",
        "RUN cat <<<word",
        "RUN a<<EOF",
        "RUN cat <<- EOF",
        "RUN it's <<EOF",
        "RUN echo ${x^} <<EOF",
        "RUN cat <<''",
        "CMD cat <<EOF",
        "ONBUILD CMD cat <<EOF",
        "ENTRYPOINT <<EOF",
    ] {
        assert_eq!(originals(&format!("FROM a\n{line}\nRUN after\n")), [line, "RUN after"]);
    }
}

#[test]
fn only_the_exact_end_word_ends_a_heredoc() {
    let error = fails("FROM a\nRUN <<EOF\n EOF\nEOF \n\tEOF\n", "unterminated heredoc");
    assert_eq!(error.span.start_line, 2);
    assert_eq!(heredocs("RUN <<-EOF\n\t EOF\nEOF \n\t\tEOF\n")[0].4, "\t EOF\nEOF \n");
}

#[test]
fn tabs_are_stripped_from_the_body_only() {
    let file = read("FROM a\nCOPY <<-x <<y /d/\n\t\ta\n \tb\tc\n\tx\n\td\ny\n");
    let Command::Copy(copy) = &file.stages[0].instructions[0].command else { panic!() };
    let contents: Vec<&[u8]> = copy
        .sources
        .iter()
        .map(|source| match source {
            CopySource::Heredoc { content, .. } => content.as_slice(),
            CopySource::Path(_) => panic!(),
        })
        .collect();
    assert_eq!(contents, [b"a\n \tb\tc\n".as_slice(), b"\td\n"]);
}

#[test]
fn bytes_that_are_no_text_survive_in_heredocs() {
    let file = parse(b"FROM a\nCOPY <<\"x\" /\xff\n\xfe\xff\nx\n").unwrap();
    let instruction = &file.stages[0].instructions[0];
    assert_eq!(instruction.source.heredocs[0].content, b"\xfe\xff\n");
    let Command::Copy(copy) = &instruction.command else { panic!() };
    assert_eq!(copy.destination.value, "/\u{fffd}");
    assert_eq!((copy.destination.span.start, copy.destination.span.end), (18, 20));
}

#[test]
fn onbuild_keeps_text_and_heredocs() {
    let text = "FROM a\nonbuild  RUN <<-A cat && <<B cat  \n\ta\n\tA\nb\nB\nONBUILD COPY [\"<<x\", \"y\"]\n";
    let file = read(text);
    let triggers: Vec<&str> = file.stages[0]
        .instructions
        .iter()
        .map(|instruction| match &instruction.command {
            Command::OnBuild(onbuild) => onbuild.trigger.value.as_str(),
            _ => panic!(),
        })
        .collect();
    assert_eq!(triggers, ["RUN <<-A cat && <<B cat  \n\ta\nA\nb\nB", "COPY [\"<<x\", \"y\"]"]);
    let fired = parse_onbuild_trigger(triggers[0]).unwrap();
    assert_eq!(fired.source.heredocs.len(), 2);
    assert!(matches!(fired.command, Command::Run(_)));
}

#[test]
fn triggers_are_one_instruction() {
    let message = |text: &str| parse_onbuild_trigger(text).unwrap_err().message;
    assert_eq!(message("RUN a\nRUN b"), "onbuild trigger should be a single expression");
    assert_eq!(message("FROM a"), "FROM isn't allowed as an ONBUILD trigger");
    assert_eq!(message("NOPE a"), "unknown instruction: NOPE");
    assert_eq!(message(""), "file with no instructions");
}

#[test]
fn mistakes_in_lines_come_before_mistakes_in_instructions() {
    fails("FROM a\nNOPE\nENV x\n", "ENV must have two arguments");
}

#[test]
fn spans_lead_back_to_the_file() {
    let text = "ARG v=1\n\nFROM --platform=$p a AS b\nENV x=\"1 \\\n 2\" y=z\nRUN <<E\nbody\nE\nCOPY [\"s\", \"d\"]\n";
    let file = read(text);
    let cut = |span: Span| &text[span.start..span.end];
    let Command::Arg(arg) = &file.global_args[0].command else { panic!() };
    assert_eq!(cut(arg.definitions[0].name.span), "v");
    assert_eq!(cut(arg.definitions[0].default.as_ref().unwrap().span), "1");
    let stage = &file.stages[0];
    assert_eq!(cut(stage.from.platform.as_ref().unwrap().span), "$p");
    assert_eq!(cut(stage.from.name.as_ref().unwrap().span), "b");
    assert_eq!((stage.span.start_line, stage.span.end_line), (3, 9));
    let Command::Env(env) = &stage.instructions[0].command else { panic!() };
    assert_eq!(env.pairs[0].value.value, "\"1  2\"");
    assert_eq!(cut(env.pairs[0].value.span), "\"1 \\\n 2\"");
    assert_eq!((env.pairs[0].span.start_line, env.pairs[0].span.end_line), (4, 5));
    assert_eq!(env.pairs[1].span.start_line, 5);
    let run = &stage.instructions[1].source;
    assert_eq!(cut(run.span), "RUN <<E\nbody\nE");
    assert_eq!(cut(run.heredocs[0].span), "body\n");
    let Command::Copy(copy) = &stage.instructions[2].command else { panic!() };
    assert_eq!(cut(copy.destination.span), "\"d\"");
}

#[test]
fn scripts_are_told_from_commands_with_heredocs() {
    let run = |line: &str, rest: &str| {
        let file = read(&format!("FROM a\n{line}\n{rest}"));
        let instruction = file.stages[0].instructions[0].clone();
        let Command::Run(run) = instruction.command else { panic!() };
        (run.script(&instruction.source).map(|doc| doc.name.clone()), run.shell_text(&instruction.source))
    };
    assert_eq!(run("RUN <<EOF", "x\nEOF\n").0, Some("EOF".to_owned()));
    assert_eq!(run("RUN --network=none <<\"EOF\"", "x\nEOF\n").0, Some("EOF".to_owned()));
    let (script, text) = run("RUN <<-EOF cat", "\tx\n\tEOF\n");
    assert_eq!((script, text.as_deref()), (None, Some("<<-EOF cat\n\tx\nEOF")));
    assert_eq!(run("RUN <<A <<B", "a\nA\nb\nB\n").0, None);
    assert_eq!(run("RUN [\"a\"]", "").1, None);
}

#[test]
fn a_bare_run_is_an_empty_text() {
    let file = read("FROM a\nRUN\nRUN []\n");
    let forms: Vec<&ShellOrExec> = file.stages[0]
        .instructions
        .iter()
        .map(|instruction| match &instruction.command {
            Command::Run(run) => &run.command,
            _ => panic!(),
        })
        .collect();
    assert_eq!(forms, [&ShellOrExec::Shell(String::new()), &ShellOrExec::Exec(Vec::new())]);
}
