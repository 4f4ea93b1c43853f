//! The parser against two others, each on the grammar that it knows.
//!
//! `parse-dockerfile`: keywords, flags, forms, heredocs at the start of RUN, stage names, and where they stand. Not
//! compared, because it leaves them whole or differs from BuildKit: the words of ENV, ARG and LABEL, heredocs further
//! right, `ENTRYPOINT []`, files without FROM.
//!
//! `dockerfile-parser`: FROM, RUN and CMD in both forms, plain COPY, ENV and LABEL.
#![allow(clippy::unwrap_used)]

use cooper_frontend::ast::{Command, CopySource, Dockerfile, Instruction, ShellOrExec, Source, Span, Text};
use cooper_frontend::parser::parse;
use dockerfile_parser as pest;
use parse_dockerfile as other;
use proptest::prelude::*;

fn read(text: &str) -> Dockerfile {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// An instruction in words, for comparing: keyword, flags, arguments.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    keyword: (usize, String),
    flags: Vec<(String, Option<String>)>,
    arguments: Vec<String>,
    heredocs: Vec<(bool, String)>,
}

fn texts(texts: &[Text]) -> Vec<String> {
    texts.iter().map(|text| text.value.clone()).collect()
}

fn form(form: &ShellOrExec) -> Vec<String> {
    match form {
        ShellOrExec::Shell(text) => vec!["shell".to_owned(), text.clone()],
        ShellOrExec::Exec(words) => std::iter::once("exec".to_owned()).chain(words.iter().cloned()).collect(),
    }
}

fn copied(sources: &[CopySource], destination: &Text) -> Vec<String> {
    let source = |source: &CopySource| match source {
        CopySource::Path(path) => path.value.clone(),
        CopySource::Heredoc { content, .. } => format!("<<{}", String::from_utf8_lossy(content)),
    };
    sources.iter().map(source).chain([destination.value.clone()]).collect()
}

fn ours(file: &Dockerfile) -> Vec<Seen> {
    let seen = |source: &Source, arguments: Vec<String>| Seen {
        keyword: (source.keyword.span.start, source.keyword.value.to_uppercase()),
        flags: source
            .flags
            .iter()
            .map(|flag| (flag.name.clone(), flag.value.as_ref().map(|value| value.value.clone())))
            .collect(),
        arguments,
        heredocs: source.heredocs.iter().map(|doc| (doc.expand, doc.text().into_owned())).collect(),
    };
    let instruction = |instruction: &Instruction| {
        let source = &instruction.source;
        let mut seen = seen(source, Vec::new());
        match &instruction.command {
            Command::Add(add) => seen.arguments = copied(&add.sources, &add.destination),
            Command::Copy(copy) => seen.arguments = copied(&copy.sources, &copy.destination),
            Command::Cmd(command) | Command::Entrypoint(command) => seen.arguments = form(command),
            Command::Run(run) if run.is_script => {}
            Command::Run(run) => seen.arguments = form(&run.command),
            Command::Expose(words) => seen.arguments = texts(words),
            Command::Shell(words) => seen.arguments.clone_from(words),
            Command::Volume(volume) => seen.arguments = texts(&volume.paths),
            Command::StopSignal(text)
            | Command::User(text)
            | Command::Workdir(text)
            | Command::Maintainer(text) => {
                seen.arguments = vec![text.value.clone()];
            }
            _ => {}
        }
        if !matches!(instruction.command, Command::Run(_)) {
            seen.heredocs.clear();
        }
        seen
    };
    let mut all: Vec<Seen> = file.global_args.iter().map(instruction).collect();
    for stage in &file.stages {
        let mut arguments = vec![stage.from.base.value.clone()];
        arguments.extend(stage.from.name.iter().map(|name| name.written.clone()));
        all.push(seen(&stage.source, arguments));
        all.extend(stage.instructions.iter().map(instruction));
    }
    all
}

fn theirs(text: &str) -> Vec<Seen> {
    use other::Instruction as I;
    let strings = |words: &[other::UnescapedString<'_>]| -> Vec<String> {
        words.iter().map(|word| word.value.clone().into_owned()).collect()
    };
    let form = |command: &other::Command<'_>| match command {
        other::Command::Exec(words) => {
            std::iter::once("exec".to_owned()).chain(strings(&words.value)).collect::<Vec<_>>()
        }
        other::Command::Shell(text) => vec!["shell".to_owned(), text.value.to_owned()],
        _ => panic!(),
    };
    let copied = |sources: &[other::Source<'_>], destination: &other::UnescapedString<'_>| {
        let source = |source: &other::Source<'_>| match source {
            other::Source::Path(path) => path.value.clone().into_owned(),
            other::Source::HereDoc(doc) => format!("<<{}", doc.value),
            _ => panic!(),
        };
        sources.iter().map(source).chain([destination.value.clone().into_owned()]).collect::<Vec<_>>()
    };
    let flags = |flags: &[other::Flag<'_>]| -> Vec<(String, Option<String>)> {
        flags
            .iter()
            .map(|f| {
                (f.name.value.clone().into_owned(), f.value.as_ref().map(|v| v.value.clone().into_owned()))
            })
            .collect()
    };
    let file = other::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let seen = |instruction: &I<'_>| {
        let (keyword, flags, arguments) = match instruction {
            I::Add(i) => (&i.add, flags(&i.options), copied(&i.src, &i.dest)),
            I::Arg(i) => (&i.arg, vec![], vec![]),
            I::Cmd(i) => (&i.cmd, vec![], form(&i.arguments)),
            I::Copy(i) => (&i.copy, flags(&i.options), copied(&i.src, &i.dest)),
            I::Entrypoint(i) => (&i.entrypoint, vec![], form(&i.arguments)),
            I::Env(i) => (&i.env, vec![], vec![]),
            I::Expose(i) => (&i.expose, vec![], strings(&i.arguments)),
            I::From(i) => {
                let name = i.as_.iter().map(|(_, name)| name.value.clone().into_owned());
                let arguments = std::iter::once(i.image.value.clone().into_owned()).chain(name).collect();
                (&i.from, flags(&i.options), arguments)
            }
            I::Healthcheck(i) => (&i.healthcheck, flags(&i.options), vec![]),
            I::Label(i) => (&i.label, vec![], vec![]),
            I::Maintainer(i) => (&i.maintainer, vec![], vec![i.name.value.clone().into_owned()]),
            I::Onbuild(i) => (&i.onbuild, vec![], vec![]),
            I::Run(i) if i.here_docs.is_empty() => (&i.run, flags(&i.options), form(&i.arguments)),
            I::Run(i) => (&i.run, flags(&i.options), vec![]),
            I::Shell(i) => (&i.shell, vec![], strings(&i.arguments)),
            I::Stopsignal(i) => (&i.stopsignal, vec![], vec![i.arguments.value.clone().into_owned()]),
            I::User(i) => (&i.user, vec![], vec![i.arguments.value.clone().into_owned()]),
            I::Volume(i) => {
                let paths = match &i.arguments {
                    other::JsonOrStringArray::Json(words) => strings(&words.value),
                    other::JsonOrStringArray::String(words) => strings(words),
                };
                (&i.volume, vec![], paths)
            }
            I::Workdir(i) => (&i.workdir, vec![], vec![i.arguments.value.clone().into_owned()]),
            _ => panic!(),
        };
        let heredocs = match instruction {
            I::Run(run) => {
                run.here_docs.iter().map(|doc| (doc.expand, doc.value.clone().into_owned())).collect()
            }
            _ => vec![],
        };
        let span = keyword.span.clone();
        Seen { keyword: (span.start, text[span].to_uppercase()), flags, arguments, heredocs }
    };
    file.instructions.iter().map(seen).collect()
}

fn word() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_./-]{0,6}".prop_map(|word| word.trim_end_matches(['/', '.']).to_owned())
}

fn json() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-z$/-]{1,3}( ,?[a-z]{1,3})?", 2..4).prop_map(|words| {
        let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        format!("[{}]", words.join(", "))
    })
}

fn shared_line() -> impl Strategy<Value = String> {
    let words = || prop::collection::vec(word(), 2..4).prop_map(|words| words.join(" "));
    let args = || prop_oneof![words(), json()];
    let keyword = |upper: &'static str| prop::sample::select(vec![upper.to_owned(), upper.to_lowercase()]);
    prop_oneof![
        (keyword("RUN"), args()).prop_map(|(k, a)| format!("{k} {a}")),
        (keyword("CMD"), args()).prop_map(|(k, a)| format!("{k} {a}")),
        (keyword("ENTRYPOINT"), args()).prop_map(|(k, a)| format!("{k}\t{a}")),
        (args(), word()).prop_map(|(a, f)| format!("COPY --from={f} --link {a}")),
        args().prop_map(|a| format!("ADD --chown=1:2 {a}")),
        args().prop_map(|a| format!("VOLUME {a}")),
        json().prop_map(|a| format!("SHELL {a}")),
        words().prop_map(|a| format!("EXPOSE {a}")),
        word().prop_map(|a| format!("WORKDIR /{a}")),
        word().prop_map(|a| format!("USER {a}")),
        word().prop_map(|a| format!("STOPSIGNAL {a}")),
        (word(), word()).prop_map(|(a, b)| format!("ENV {a}={b}")),
        (word(), word()).prop_map(|(a, b)| format!("LABEL {a}={b}")),
        word().prop_map(|a| format!("ARG {a}")),
        words().prop_map(|a| format!("HEALTHCHECK --retries=2 CMD {a}")),
        words().prop_map(|a| format!("ONBUILD RUN {a}")),
        ("[A-Z]{3}", prop::collection::vec("[a-z $]{0,8}", 0..3), any::<bool>()).prop_map(
            |(end, body, quoted)| {
                let body: String = body.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
                let marker = if quoted { format!("\"{end}\"") } else { end.clone() };
                format!("RUN --network=none <<{marker}\n{body}{end}")
            }
        ),
        ("[A-Z]{3}", "[a-z $]{0,8}").prop_map(|(end, body)| format!("COPY <<{end} /d\n{body}\n{end}")),
        "[a-z ]{0,8}".prop_map(|text| format!("# {text}")),
        Just(String::new()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_parse_dockerfile(
        name in "[a-z][a-z0-9_.-]{0,5}",
        lines in prop::collection::vec((shared_line(), prop::sample::select(vec!["\n", "\n", "\n\n"])), 0..8),
    ) {
        let lines: String = lines.into_iter().map(|(line, end)| line + end).collect();
        let text = format!("# syntax=x\nARG v\nFROM --platform=p img:$v AS {name}\n{lines}");
        prop_assert_eq!(ours(&read(&text)), theirs(&text), "{}", text);
    }

    #[test]
    fn agrees_with_dockerfile_parser(lines in prop::collection::vec(narrow_line(), 1..8)) {
        let text = format!("FROM img:1 AS base\n{}\n", lines.join("\n"));
        let file = read(&text);
        let theirs = pest::Dockerfile::parse(&text).unwrap();
        prop_assert_eq!(theirs.instructions.len(), 1 + file.stages[0].instructions.len());
        for (ours, theirs) in file.stages[0].instructions.iter().zip(&theirs.instructions[1..]) {
            let Span { start, end, .. } = ours.source.span;
            prop_assert_eq!((theirs.span().start, theirs.span().end), (start, end));
            prop_assert_eq!(narrow_ours(ours), narrow_theirs(theirs));
        }
    }
}

fn narrow_line() -> impl Strategy<Value = String> {
    let words = || prop::collection::vec(word(), 2..4).prop_map(|words| words.join(" "));
    prop_oneof![
        words().prop_map(|a| format!("RUN {a}")),
        words().prop_map(|a| format!("RUN {a} \\\n  && b")),
        json().prop_map(|a| format!("CMD {a}")),
        json().prop_map(|a| format!("ENTRYPOINT {a}")),
        words().prop_map(|a| format!("CMD {a}")),
        words().prop_map(|a| format!("COPY --from=x {a}")),
        ("[a-z]{1,4}", "[a-z0-9]{1,4}").prop_map(|(k, v)| format!("ENV {k}={v}")),
        ("[a-z]{1,4}", "[a-z0-9]{1,4}").prop_map(|(k, v)| format!("LABEL {k}={v}")),
        ("[a-z]{1,4}", "[a-z0-9]{1,4}").prop_map(|(k, v)| format!("ARG {k}={v}")),
    ]
}

fn narrow_ours(instruction: &Instruction) -> Vec<String> {
    match &instruction.command {
        Command::Run(run) => form(&run.command),
        Command::Cmd(command) | Command::Entrypoint(command) => form(command),
        Command::Copy(copy) => copied(&copy.sources, &copy.destination),
        Command::Env(pairs) | Command::Label(pairs) => {
            pairs.pairs.iter().flat_map(|pair| [pair.name.value.clone(), pair.value.value.clone()]).collect()
        }
        Command::Arg(arg) => {
            let pair = |d: &cooper_frontend::ast::ArgDefinition| {
                [d.name.value.clone(), d.default.as_ref().map(|v| v.value.clone()).unwrap_or_default()]
            };
            arg.definitions.iter().flat_map(pair).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn narrow_theirs(instruction: &pest::Instruction) -> Vec<String> {
    use pest::Instruction as I;
    let form = |expression: &pest::ShellOrExecExpr| match expression {
        pest::ShellOrExecExpr::Shell(text) => vec!["shell".to_owned(), text.to_string()],
        pest::ShellOrExecExpr::Exec(words) => {
            std::iter::once("exec").chain(words.as_str_vec()).map(str::to_owned).collect()
        }
    };
    match instruction {
        I::Run(run) => form(&run.expr),
        I::Cmd(cmd) => form(&cmd.expr),
        I::Entrypoint(entrypoint) => form(&entrypoint.expr),
        I::Copy(copy) => {
            copy.sources.iter().chain([&copy.destination]).map(|path| path.content.clone()).collect()
        }
        I::Env(env) => {
            env.vars.iter().flat_map(|var| [var.key.content.clone(), var.value.to_string()]).collect()
        }
        I::Label(label) => {
            label.labels.iter().flat_map(|l| [l.name.content.clone(), l.value.content.clone()]).collect()
        }
        I::Arg(arg) => {
            vec![arg.name.content.clone(), arg.value.as_ref().map(|v| v.content.clone()).unwrap_or_default()]
        }
        other => panic!("{other:?}"),
    }
}
