//! What is refused, and in which words.

use super::*;

#[test]
fn messages() {
    for (text, want) in [
        ("FROM $NOPE\n", "base name ($NOPE) should not be blank"),
        ("FROM --platform=$NOPE busybox\n", "empty platform value from expression $NOPE"),
        (
            "FROM busybox AS a\nCOPY --from=b /x /x\nFROM busybox AS b\nCOPY --from=a /x /x\n",
            "circular dependency detected on stage: a",
        ),
        ("FROM busybox AS a\nRUN x\nCOPY --from=a /x /y\n", "circular dependency detected on stage: a"),
        ("FROM busybox\nCOPY --from=3 /x /x\n", "invalid stage index 3"),
        (
            "FROM busybox AS a\nCOPY --from=b /p /x\nFROM busybox AS b\nLABEL x=1\nFROM a\n",
            "cannot copy from stage \"b\", it needs to be defined before current stage \"a\"",
        ),
        (
            "FROM busybox AS one\nCOPY --from=1 /f /f\nFROM busybox AS two\nFROM one\n",
            "cannot copy from stage \"1\", it needs to be defined before current stage \"one\"",
        ),
        (
            "FROM busybox AS a\nFROM busybox\nCOPY --from=$x /f /f\n",
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global \
             scope as a workaround",
        ),
        ("FROM busybox\nEXPOSE 80/http\n", "invalid proto: http"),
        ("FROM busybox\nEXPOSE 70000\n", "invalid containerPort: 70000"),
        ("FROM busybox\nSTOPSIGNAL SIGNOPE\n", "invalid signal: SIGNOPE"),
        ("FROM busybox\nVOLUME $NOPE\n", "VOLUME specified can not be an empty string"),
        ("FROM busybox\nCOPY http://127.0.0.1:1/f /o/\n", "source can't be a URL for COPY"),
        ("FROM busybox\nCOPY git@h.invalid:a/b.git /o/\n", "source can't be a git ref for COPY"),
        ("FROM busybox\nADD --checksum=sha256:0 a /o/\n", "checksum requires HTTP(S) or Git sources"),
        (
            "FROM busybox\nADD --checksum=sha256:0 a b /o/\n",
            "checksum can't be specified for multiple sources",
        ),
        ("FROM busybox\nADD --checksum=nope:0 http://h/f /o/\n", "unsupported digest algorithm"),
        ("FROM busybox\nADD --checksum=sha256:0 http://h/f /o/\n", "invalid checksum digest format"),
        ("FROM busybox\nCOPY [ab /o/\n", "syntax error in pattern: [ab"),
        ("FROM busybox\nRUN []\n", "arguments are required"),
        (
            "FROM busybox\nRUN --mount=type=secret true\n",
            "invalid secret mount. one of source, target required",
        ),
        (
            "FROM busybox\nRUN --device=x.invalid/y,required true\n",
            "required device \"x.invalid/y\" is not available",
        ),
    ] {
        assert_eq!(message(text), want, "{text}");
    }
}

#[test]
fn expansion_failures_name_the_text_and_the_line() {
    let error = |text: &str| try_plan(text, &options(), &Images::new()).unwrap_err();
    for text in [
        "FROM busybox\nLABEL a=\"${X:?must be given}\"\n",
        "FROM busybox\nLABEL a=${X\n",
        "FROM busybox\nLABEL a=${x:#y}\n",
        "FROM busybox\nRUN --mount=type=tmpfs,target=/t${NOPE:?needed} true\n",
        "FROM busybox\nCOPY <<EOF /f\n${X:?heredoc}\nEOF\n",
    ] {
        let error = error(text);
        assert!((2..=3).contains(&error.span.unwrap().start_line), "{text}");
        assert!(error.message.contains("failed to process"), "{}", error.message);
    }
    // A default that is not used is not expanded.
    let text = "FROM busybox\nARG A=${X:?no}\n";
    assert!(try_plan(text, &with_args(&[("A", "1")]), &Images::new()).is_ok());
    assert!(try_plan(text, &options(), &Images::new()).is_err());
}

#[test]
fn mount_flags_are_checked_when_their_variables_are_known() {
    for flags in [
        "type=cache,target=/m,mode=rwx",
        "type=cache,target=/m,uid=app",
        "type=bind,target=/m,size=1m",
        "type=cache,target=/m,colour=red",
        "type=nope,target=/m",
    ] {
        let text = format!("FROM busybox\nRUN --mount={flags} true\n");
        let refused = match parse(text.as_bytes()) {
            Ok(file) => plan(&file, &options(), &Images::new()).is_err(),
            Err(_) => true,
        };
        assert!(refused, "{flags}");
    }
}

#[test]
fn unknown_images_suggest_stages() {
    let error = try_plan("FROM busybox AS build\nFROM biuld\n", &options(), &Images::new()).unwrap_err();
    assert_eq!(error.message, "biuld: not found");
    assert_eq!(error.hint.as_deref(), Some("did you mean build?"));
    assert_eq!(error.span.unwrap().start_line, 2);
}

#[test]
fn stages_above_only() {
    let error = message("FROM later-stage AS one\nFROM busybox AS later-stage\nFROM one\n");
    assert_eq!(error, "later-stage: not found");
}

#[test]
fn variables_that_grow_without_end_are_refused() {
    let long = format!("FROM busybox\nENV a=xx\n{}", "ENV a=$a$a\n".repeat(15));
    for (text, want) in [
        ("ENV a=$a$a\n".repeat(40), "its variables hold more than 1048576 bytes"),
        ("ENV b=$a\n".repeat(2000), "the file's variables take more than 67108864 bytes"),
        ("RUN true\n".repeat(2000), "the file's variables take more than 67108864 bytes"),
        ("RUN echo $a\n".repeat(2000), "the file's variables take more than 67108864 bytes"),
        (
            format!("EXPOSE{}\n", " 1-65535".repeat(2000)),
            "the file's variables take more than 67108864 bytes",
        ),
    ] {
        let text = format!("{long}{text}");
        let file = parse(text.as_bytes()).unwrap();
        let error = plan(&file, &PlanOptions::default(), &Images::new()).unwrap_err();
        assert!(error.message.ends_with(want), "{}", error.message.len());
    }
}
