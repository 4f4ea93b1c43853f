//! ARG and its kin.

use super::*;
use crate::EpochSource;
use crate::graph::NamedContext;

#[test]
fn values_come_from_the_command_line_then_the_line_then_the_top() {
    let text = "ARG A=global\nARG B=global\nARG C=global\nFROM busybox\nARG A\nARG B=local\nARG C=local\n\
                LABEL a=$A b=$B c=$C d=\"[${D-unset}]\"\nARG D\nLABEL e=\"[${D-unset}]\"\n";
    let graph = planned_with(text, &with_args(&[("C", "flag")]));
    let values: Vec<&str> = ["a", "b", "c", "d", "e"].iter().map(|name| label(&graph, name)).collect();
    assert_eq!(values, ["global", "local", "flag", "[unset]", "[unset]"]);
    assert!(history(&graph).contains(&"(ARG A=global)".to_owned()));
    assert!(history(&graph).contains(&"(ARG D)".to_owned()));
}

#[test]
fn global_defaults_see_earlier_ones() {
    let text = "ARG ONE=1\nARG TWO=${ONE}2\nARG THREE=$TWO-3\nFROM busybox\nARG THREE\nARG FOUR=${THREE}/4\nLABEL l=$FOUR\n";
    assert_eq!(label(&planned_with(text, &with_args(&[("ONE", "x")])), "l"), "x2-3/4");
}

#[test]
fn several_on_a_line_see_one_another() {
    let graph = planned("FROM busybox\nARG A=1 B=$A-2 C\nLABEL b=$B c=\"[${C-unset}]\"\n");
    assert_eq!((label(&graph, "b"), label(&graph, "c")), ("1-2", "[unset]"));
    assert_eq!(layers(&graph), "Lee");
    assert_eq!(history(&graph)[0], "(ARG A=1 B=1-2 C)");
}

#[test]
fn the_later_of_arg_and_env_wins_in_run_and_the_image_keeps_env() {
    let text = "FROM busybox\nARG X=default\nENV Y=env\nARG Y=arg\nARG Z=zdefault\nENV Z=${Z:+seen}\nARG EMPTY\nARG UNSET\nRUN x\n";
    let graph = planned_with(text, &with_args(&[("X", "cli"), ("Y", "cli"), ("Z", "cli"), ("EMPTY", "")]));
    assert_eq!(env(runs(&graph)[0]), [PATH, "X=cli", "Y=cli", "Z=seen", "EMPTY="]);
    assert_eq!(graph.image.config.config.env, [PATH, "Y=env", "Z=seen"]);
    assert_eq!(
        history(&graph).last().unwrap(),
        "RUN |5 X=cli Y=cli Z=seen EMPTY= UNSET= /bin/sh -c x # buildkit"
    );
}

#[test]
fn args_reach_children_but_env_comes_back_on_top() {
    let text = "FROM busybox AS parent\nARG V=fromparent\nENV E=env\nARG E=arg\nFROM parent\nLABEL v=\"[$V][$E]\"\nRUN x\n";
    let graph = planned(text);
    assert_eq!(label(&graph, "v"), "[fromparent][env]");
    assert_eq!(history(&graph).last().unwrap(), "RUN |2 V=fromparent E=env /bin/sh -c x # buildkit");
    let graph = planned("FROM busybox AS one\nARG V=one\nFROM busybox\nLABEL v=\"[$V]\"\n");
    assert_eq!(label(&graph, "v"), "[]");
}

#[test]
fn platform_args_need_a_declaration_and_may_be_replaced() {
    let text = "FROM busybox\nLABEL undeclared=\"[$TARGETARCH$BUILDOS]\"\nARG TARGETPLATFORM\nARG TARGETVARIANT TARGETARCH=mine\n\
                LABEL t=\"$TARGETPLATFORM,[${TARGETVARIANT-unset}],$TARGETARCH\"\nARG TARGETSTAGE\nLABEL s=$TARGETSTAGE\n";
    let graph = planned(text);
    assert_eq!(label(&graph, "undeclared"), "[]");
    assert_eq!(label(&graph, "t"), "linux/amd64,[],mine");
    assert_eq!(label(&graph, "s"), "default");
    let text = "FROM busybox AS one\nARG TARGETSTAGE\nLABEL s=$TARGETSTAGE\n";
    assert_eq!(label(&planned(text), "s"), "one");
    let text = "ARG X=$TARGETARCH\nFROM busybox\nARG X\nLABEL x=$X\n";
    assert_eq!(label(&planned_with(text, &with_args(&[("TARGETARCH", "odd")])), "x"), "odd");
}

#[test]
fn proxies_reach_run_alone() {
    let text = "FROM busybox\nLABEL p=\"[$HTTP_PROXY$http_proxy]\"\nRUN x\n";
    let graph =
        planned_with(text, &with_args(&[("HTTP_PROXY", "http://p"), ("no_proxy", "local"), ("OTHER", "x")]));
    let run = runs(&graph)[0];
    assert_eq!(env(run), [PATH]);
    let proxies: Vec<(&str, &str)> = run.proxy_env.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        proxies,
        [
            ("HTTP_PROXY", "http://p"),
            ("http_proxy", "http://p"),
            ("NO_PROXY", "local"),
            ("no_proxy", "local")
        ]
    );
    assert_eq!(label(&graph, "p"), "[]");
    assert_eq!(history(&graph).last().unwrap(), "RUN /bin/sh -c x # buildkit");
}

#[test]
fn sbom_args_never_reach_run() {
    let graph = planned("FROM busybox\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nRUN x\n");
    assert_eq!(env(runs(&graph)[0]), [PATH]);
}

#[test]
fn source_date_epoch_dates_the_history() {
    let graph = planned_with(
        "FROM busybox\nWORKDIR /w\nARG SOURCE_DATE_EPOCH\nLABEL e=$SOURCE_DATE_EPOCH\n",
        &with_args(&[("SOURCE_DATE_EPOCH", "1000000000")]),
    );
    assert_eq!(graph.image.source_date_epoch, Some(1_000_000_000));
    let entry = graph.image.config.history.last().unwrap();
    assert_eq!(entry.created.as_deref(), Some("2001-09-09T01:46:40Z"));
    assert_eq!(mkdirs(&graph)[0].source_date_epoch, Some(1_000_000_000));
    assert_eq!(label(&graph, "e"), "1000000000");
    // From the file, taken back by the command line, and from nowhere.
    let text = "ARG SOURCE_DATE_EPOCH=5\nFROM busybox\n";
    assert_eq!(planned(text).image.source_date_epoch, Some(5));
    assert_eq!(planned_with(text, &with_args(&[("SOURCE_DATE_EPOCH", "")])).image.source_date_epoch, None);
    assert_eq!(
        message_with(text, &with_args(&[("SOURCE_DATE_EPOCH", "yesterday")])),
        "invalid SOURCE_DATE_EPOCH: yesterday"
    );
}

#[test]
fn source_date_epoch_may_name_what_dates_the_build() {
    let of = |text: &str, value: &str| {
        let file = parse(text.as_bytes()).unwrap();
        let contexts = with_contexts(&["repo=https://h.test/a.git", "dir=."]);
        let options =
            PlanOptions { build_args: vec![("SOURCE_DATE_EPOCH".into(), value.into())], ..contexts };
        crate::epoch_source(&file, &options).map_err(|e| e.to_string())
    };
    let text = "ARG V=2\nFROM scratch AS src\nARG U=https://h.test/x-$V.tar\nADD $U /\n\
                FROM scratch AS git\nADD --keep-git-dir https://h.test/b.git#main /\n\
                FROM busybox AS other\nADD $U /\nFROM scratch AS none\nARG X\n\
                FROM scratch AS two\nADD https://h.test/1 https://h.test/2 /d/\n\
                FROM scratch AS more\nADD https://h.test/1 /\nADD https://h.test/2 /\n\
                FROM scratch AS files\nADD here /\nFROM scratch AS runs\nRUN x\nFROM scratch\n";
    assert_eq!(of(text, "12"), Ok(None));
    assert_eq!(of(text, ""), Ok(None));
    assert_eq!(of(text, "context"), Ok(Some(EpochSource::MainContext)));
    let repo = NamedContext::Git("https://h.test/a.git".into());
    assert_eq!(of(text, "repo"), Ok(Some(EpochSource::Context(repo))));
    let Ok(Some(EpochSource::Http(http))) = of(text, "SRC") else { panic!("{:?}", of(text, "SRC")) };
    assert_eq!(http.url, "https://h.test/x-2.tar");
    let Ok(Some(EpochSource::Git(git))) = of(text, "git") else { panic!("{:?}", of(text, "git")) };
    assert!(git.keep_git_dir);
    for (stage, want) in [
        ("other", "SOURCE_DATE_EPOCH stage must use FROM scratch"),
        ("none", "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD"),
        ("more", "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD"),
        ("two", "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD source"),
        ("files", "SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD"),
        (
            "runs",
            "SOURCE_DATE_EPOCH stage does not meet source-only requirements: unsupported RUN instruction",
        ),
        ("nothing", "invalid SOURCE_DATE_EPOCH: nothing"),
    ] {
        assert_eq!(of(text, stage), Err(want.to_owned()), "{stage}");
    }
    let options = PlanOptions { keyword_epoch: Some(7), ..with_args(&[("SOURCE_DATE_EPOCH", "src")]) };
    let graph = planned_with(
        "FROM scratch AS src\nADD https://h.test/1 /\nFROM busybox\nARG SOURCE_DATE_EPOCH\nLABEL e=$SOURCE_DATE_EPOCH\n",
        &options,
    );
    assert_eq!((graph.image.source_date_epoch, label(&graph, "e")), (Some(7), "7"));
}

#[test]
fn undefined_variables_are_reported_where_they_are_expanded() {
    let graph = planned("FROM busybox\nARG NAME\nENV fox=1\nLABEL a=$NAME b=$foo\nRUN echo $bar\n");
    assert_eq!(rules(&graph), ["UndefinedVar"]);
    assert_eq!(graph.warnings[0].message, "Usage of undefined variable '$foo' (did you mean $fox?)");
    assert_eq!(graph.warnings[0].span.unwrap().start_line, 4);
}

#[test]
fn warnings_lead_to_the_comments_above() {
    let file = parse(b"FROM busybox\n# check=skip=UndefinedVar\nLABEL b=$foo\n").unwrap();
    let graph = plan(&file, &options(), &Images::new()).unwrap();
    assert_eq!(graph.warnings[0].comments(&file)[0].text, "check=skip=UndefinedVar");
}
