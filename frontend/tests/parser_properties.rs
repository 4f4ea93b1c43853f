//! Properties of the parser that hold for any text: it never panics, spans are true, printing and reading again gives
//! the same tree, expansion never panics.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use cooper_frontend::ast::{Dockerfile, Span};
use cooper_frontend::expand::Expander;
use cooper_frontend::parser::{parse, parse_onbuild_trigger};
use cooper_frontend::print::print;
use proptest::prelude::*;
use regex::Regex;

static SPAN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"Span \{ start_line: (\d+), end_line: (\d+), start: (\d+), end: (\d+) \}").unwrap()
});

/// Every span in the tree, found in its debug form so that none is forgotten.
fn spans(tree: &impl std::fmt::Debug) -> Vec<Span> {
    let text = format!("{tree:?}");
    let number = |text: &str| text.parse::<usize>().unwrap();
    let span = |found: regex::Captures<'_>| Span {
        start_line: number(&found[1]).try_into().unwrap(),
        end_line: number(&found[2]).try_into().unwrap(),
        start: number(&found[3]),
        end: number(&found[4]),
    };
    SPAN.captures_iter(&text).map(span).collect()
}

fn without_spans(file: &Dockerfile) -> String {
    let Dockerfile { directives, global_args, stages, .. } = file;
    SPAN.replace_all(&format!("{directives:?} {global_args:?} {stages:?}"), "_").into_owned()
}

fn line_of(text: &[u8], offset: usize) -> usize {
    text[..offset].split(|byte| *byte == b'\n').count()
}

fn check_spans(text: &[u8], file: &Dockerfile) {
    for span in spans(file) {
        assert!(span.start <= span.end && span.end <= text.len(), "{span:?}");
        assert_eq!(span.start_line as usize, line_of(text, span.start), "{span:?}");
        let last = span.start.max(span.end.saturating_sub(1));
        assert_eq!(span.end_line as usize, line_of(text, last), "{span:?}");
    }
    let sources = file.stages.iter().flat_map(|stage| {
        std::iter::once(&stage.source).chain(stage.instructions.iter().map(|instruction| &instruction.source))
    });
    let mut behind = 0;
    for source in file.global_args.iter().map(|instruction| &instruction.source).chain(sources) {
        let span = source.span;
        assert!(span.start >= behind, "instructions overlap: {span:?}");
        behind = span.end;
        let keyword = &text[source.keyword.span.start..source.keyword.span.end];
        if !keyword.contains(&b'\n') {
            assert_eq!(source.keyword.value, String::from_utf8_lossy(keyword));
        }
        assert!(span.start <= source.keyword.span.start && source.keyword.span.end <= span.end);
        for inner in
            source.flags.iter().map(|flag| flag.span).chain(source.heredocs.iter().map(|doc| doc.span))
        {
            assert!(span.start <= inner.start && inner.end <= span.end, "{inner:?} in {span:?}");
        }
    }
}

fn check(text: &[u8]) {
    match parse(text) {
        Err(error) => {
            let Span { start_line, end_line, start, end } = error.span;
            assert!(start <= end && end <= text.len(), "{error:?}");
            assert!(
                1 <= start_line && start_line <= end_line && end_line as usize <= line_of(text, text.len())
            );
            assert!(!error.message.is_empty());
        }
        Ok(file) => {
            check_spans(text, &file);
            let printed = print(&file);
            let again = parse(&printed)
                .unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&printed)));
            assert_eq!(without_spans(&file), without_spans(&again));
            assert_eq!(printed, print(&again), "printing is stable");
        }
    }
}

/// Pieces of lines: sense and nonsense.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "a", "b=c", "k=\"v w\"", "x='y z'", "[\"a\", \"b\"]", "['a']", "[1]", "\\", "\\\\", "`", "--from=x", "--link",
            "--mount=type=cache,target=/x", "--chown='a b'", "--exclude=*.x", "--", "--network=none", "--retries=3",
            "<<EOF", "<<-EOF", "<<\"EOF\"", "<<'E F'", "3<<X", "<< EOF", "/dest", "$x", "${x:-y}", "${x^}", "\"", "'",
            "&&", "# no", "AS", "name", "CMD", "NONE", "RUN", "80/tcp", "é", "\u{a0}", "=", "", "\u{b}", "\u{feff}",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ]
}

fn line() -> impl Strategy<Value = String> {
    let keyword = prop::sample::select(vec![
        "FROM",
        "RUN",
        "COPY",
        "ADD",
        "ENV",
        "LABEL",
        "ARG",
        "CMD",
        "ENTRYPOINT",
        "EXPOSE",
        "WORKDIR",
        "USER",
        "VOLUME",
        "STOPSIGNAL",
        "SHELL [\"a\"]",
        "HEALTHCHECK CMD",
        "ONBUILD RUN",
        "onbuild copy",
        "MAINTAINER",
        "run",
        "# c",
        "",
        "# check=skip=A",
        "# escape=`",
        "\\",
        "FROM a",
        "RUN x",
        "ENV a=b",
    ]);
    let blank = prop::sample::select(vec![
        " ",
        " ",
        " ",
        "\t",
        "  ",
        " \\\n ",
        "\\\n",
        " \\\n# c\n",
        "\\\n\n",
        "`\n",
    ]);
    let end = prop::sample::select(vec![
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\n\n",
        " \n",
        "\\\n",
        "\nEOF\n",
        "\nx\nEOF\n",
        "\nE F\n",
    ]);
    (keyword, prop::collection::vec((blank, piece()), 0..5), end).prop_map(|(keyword, pieces, end)| {
        let pieces: String =
            pieces.into_iter().flat_map(|(blank, piece)| [blank.to_owned(), piece]).collect();
        format!("{keyword}{pieces}{end}")
    })
}

fn dockerfile() -> impl Strategy<Value = String> {
    let head = prop::sample::select(vec![
        "",
        "",
        "# escape=`\n",
        "# syntax=a b\n#check=skip=all;error=true\n",
        "\u{feff}# escape=\\\n",
        "#!/x\n# syntax=y\n",
        "ARG v=1\n",
        "\n# escape=`\n",
    ]);
    (head, prop::collection::vec(line(), 0..6))
        .prop_map(|(head, lines)| format!("{head}FROM x\n{}", lines.concat()))
}

/// One sensible instruction a line, so that most files can be read.
fn good_dockerfile() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "RUN echo hi \\\n  && true",
        "RUN --mount=type=cache,target=/c [\"a\", \"b\"]",
        "RUN <<EOF\nx\n\ty\nEOF",
        "COPY --link a b /c/",
        "COPY <<-\"A B\" <<b /d/\n\tx $y\n\tA B\n\n\t\tb",
        "ADD [\"a b\", \"c\"]",
        "ENV a=b c=\"d e\"",
        "ENV a b c",
        "LABEL \"a b\"=c\\ d",
        "ARG a=1 b",
        "CMD a",
        "ENTRYPOINT []",
        "EXPOSE 80 443/udp",
        "WORKDIR /a b",
        "USER a:b",
        "VOLUME /a /b",
        "STOPSIGNAL 9",
        "SHELL [\"a\"]",
        "HEALTHCHECK --interval=1s CMD x",
        "HEALTHCHECK NONE",
        "ONBUILD RUN <<E \t \nz\nE",
        "ONBUILD COPY a b  ",
        "MAINTAINER x",
        "FROM y AS Z",
        "# note",
        "#",
        "",
        "from z",
        "RUN x \\\n\n  # c\n  y",
        "RUN a \\\\",
        "ONBUILD RUN x \\\\",
        "RUN é \\\u{a0}",
        "CMD",
    ]);
    let end = prop::sample::select(vec!["\n", "\n", "\r\n", " \t\n"]);
    let head = prop::sample::select(vec!["", "# escape=`\n", "# check=skip=A,B\n", "ARG v=1\n", "# c\n"]);
    (head, prop::collection::vec((line, end), 0..8)).prop_map(|(head, lines)| {
        let lines: String = lines.into_iter().flat_map(|(line, end)| [line, end]).collect();
        format!("{head}FROM x\n{lines}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn odd_files(text in dockerfile()) {
        check(text.as_bytes());
    }

    #[test]
    fn files_that_make_sense(text in good_dockerfile()) {
        check(text.as_bytes());
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
        check(&[b"FROM a\nRUN ".as_slice(), &bytes].concat());
        check(&[b"FROM a\nCOPY <<E /d\n".as_slice(), &bytes, b"\nE\n"].concat());
    }

    #[test]
    fn any_trigger(text in "\\PC{0,40}", line in line()) {
        let _ = parse_onbuild_trigger(&text);
        let _ = parse_onbuild_trigger(&line);
    }

    #[test]
    fn any_word(
        text in "[$a-c{}:+?#%/*\\\\'\"` <\\PC]{0,24}",
        values in prop::collection::btree_map("[a-c]", "[ -~]{0,8}", 0..3),
        escape in prop::sample::select(vec!['\\', '`']),
    ) {
        let expander = Expander::new(escape);
        let word = expander.word(&text, &values);
        let words = expander.words(&text, &values);
        prop_assert_eq!(word.is_ok(), words.is_ok());
        let _ = expander.heredoc(&text, &values);
        let _ = expander.display(&text, &values);
    }

    #[test]
    fn text_without_special_characters_stays(text in "[A-Za-z0-9 ._/:-]{0,30}") {
        let none = std::collections::BTreeMap::new();
        let expander = Expander::new('\\');
        prop_assert_eq!(&expander.word(&text, &none).unwrap().value, &text);
        let words: Vec<&str> = text.split_whitespace().collect();
        prop_assert_eq!(expander.words(&text, &none).unwrap().words, words);
    }
}

#[test]
fn very_long_lines_are_printed_in_parts() {
    let long = "x".repeat(60_000);
    check(format!("FROM a\nRUN {long}\\\n{long}\\\n {long} && y\nCMD z\n").as_bytes());
}

#[test]
fn nesting_of_any_depth() {
    for unit in ["${a:-", "[", "\"${b#", "ONBUILD ", "<<", "\\\n", "[\"", "{\"a\":"] {
        let deep = unit.repeat(10_000);
        for keyword in ["RUN", "COPY", "ENV a=", "CMD", "ONBUILD RUN"] {
            check(format!("FROM a\n{keyword} {deep}\n").as_bytes());
        }
    }
}
