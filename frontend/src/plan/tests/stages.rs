//! Names, targets, reachability, platforms, named contexts.

use super::*;
use crate::graph::{CopySource, NoCache, SourceKind};

#[test]
fn only_what_the_target_needs_is_resolved_and_planned() {
    let images = Images::new();
    let text = "FROM busybox AS bad\nRUN exit 7\nFROM not-a-real-image:nope AS worse\nRUN true\nFROM busybox\nLABEL ok=1\n";
    let graph = try_plan(text, &options(), &images).unwrap();
    assert_eq!(*images.waves.borrow(), [["busybox"]]);
    assert_eq!(steps(&graph).len(), 1);
    assert_eq!(layers(&graph), "Le");
    assert_eq!(graph.stages, [2]);
}

#[test]
fn all_bases_are_asked_for_at_once_and_once() {
    let images = Images::new().with("alpine:3", busybox());
    let text = "FROM busybox AS a\nFROM alpine:3 AS b\nFROM busybox:latest\n\
                COPY --from=a /x /\nCOPY --from=b /x /\nCOPY --from=docker.io/library/busybox /x /\n";
    let graph = try_plan(text, &options(), &images).unwrap();
    assert_eq!(*images.waves.borrow(), [["busybox", "alpine:3"]]);
    let sources = steps(&graph).iter().filter(|step| matches!(step.op, Op::Image(_))).count();
    assert_eq!(sources, 2);
}

#[test]
fn target_is_found_without_case_but_not_by_number() {
    let text = "FROM busybox AS one\nLABEL s=one\nFROM one AS Two\nLABEL s=two\nFROM two\nRUN exit 1\n";
    let target = |name: &str| PlanOptions { target: Some(name.into()), ..options() };
    let graph = planned_with(text, &target("tWO"));
    assert_eq!(label(&graph, "s"), "two");
    assert!(runs(&graph).is_empty());
    assert_eq!(message_with(text, &target("0")), "target stage \"0\" could not be found");
    let error = try_plan(text, &target("on"), &Images::new()).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean one?"));
}

#[test]
fn from_and_copy_choose_among_equal_names_in_their_own_ways() {
    let text = "FROM busybox AS dup\nLABEL n=1\nFROM dup AS mid\nFROM busybox AS dup\nLABEL n=2\n\
                FROM mid\nCOPY --from=DUP /f /f\nCOPY --from=0 /f /g\n";
    let graph = planned(text);
    assert_eq!(label(&graph, "n"), "1");
    // Both stages have no files of their own, so that the image itself is copied from.
    for copy in copies(&graph) {
        assert!(matches!(op(&graph, copy.sources[0].input), Op::Image(_)));
    }
    let error = message("FROM busybox AS Base\nFROM Base\n");
    assert!(error.starts_with("failed to parse stage name \"Base\": "), "{error}");
}

#[test]
fn a_stage_may_be_called_scratch() {
    let graph = planned("FROM busybox AS scratch\nRUN touch /x\nFROM scratch\nRUN ls\n");
    assert_eq!(runs(&graph).len(), 2);
}

#[test]
fn scratch_has_a_path_and_a_directory() {
    let graph = planned("FROM scratch\nCOPY f /\nENV A=$PATH\n");
    assert_eq!(graph.image.config.config.env, [PATH.to_owned(), format!("A={}", &PATH[5..])]);
    assert_eq!(graph.image.config.config.working_dir, "/");
    assert_eq!(graph.image.base_history_len, 0);
    assert!(matches!(op(&graph, copies(&graph)[0].base), Op::Scratch));
}

#[test]
fn files_of_the_client_have_no_owner() {
    let graph = planned("FROM busybox AS a\nRUN touch /x\nFROM scratch\nCOPY x /\nCOPY --from=a /x /y\n");
    let kinds: Vec<SourceKind> = copies(&graph).iter().map(|copy| copy.sources[0].kind).collect();
    assert_eq!(
        kinds,
        [SourceKind::Files { preserve_owner: false }, SourceKind::Files { preserve_owner: true }]
    );
}

#[test]
fn a_named_context_takes_the_place_of_a_stage() {
    let text =
        "FROM busybox AS dep\nRUN exit 3\nFROM busybox\nCOPY --from=dep /f /f\nCOPY --from=extra f /g\n";
    let graph = planned_with(text, &with_contexts(&["dep=sub", "extra=other"]));
    let inputs: Vec<&str> = copies(&graph)
        .iter()
        .map(|copy| match (op(&graph, copy.sources[0].input), copy.sources[0].kind) {
            (Op::Local(local), SourceKind::Files { preserve_owner: false }) => local.name.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(inputs, ["dep", "extra"]);
    assert!(runs(&graph).is_empty());
}

#[test]
fn a_named_context_takes_the_place_of_an_image() {
    let images = Images::new().with("alpine:3", busybox());
    let options = with_contexts(&["golang:1.25=docker-image://alpine:3"]);
    let graph = try_plan("FROM golang:1.25\nRUN x\n", &options, &images).unwrap();
    assert_eq!(*images.waves.borrow(), [["alpine:3"]]);
    assert_eq!(graph.image.config.config.cmd, Some(vec!["sh".to_owned()]));

    let graph =
        planned_with("FROM golang:1.25\nRUN x\n", &with_contexts(&["golang:1.25=docker-image://scratch"]));
    assert!(matches!(op(&graph, runs(&graph)[0].base), Op::Scratch));

    let graph = planned_with("FROM code AS x\nCOPY --from=x /f /\n", &with_contexts(&["x=dir"]));
    assert!(matches!(op(&graph, graph.result), Op::Local(_)));
}

#[test]
fn a_named_context_may_be_another_stage() {
    let text = "FROM busybox AS a\nRUN touch /a\nFROM busybox\nCOPY --from=lib /a /\n";
    let graph = planned_with(text, &with_contexts(&["lib=target:A"]));
    assert!(matches!(op(&graph, copies(&graph)[0].sources[0].input), Op::Run(_)));
    let text = "FROM busybox AS one\nLABEL n=one\nFROM busybox AS two\nLABEL n=two\nFROM one\n";
    assert_eq!(label(&planned_with(text, &with_contexts(&["one=target:two"])), "n"), "two");
    let error = message_with(text, &with_contexts(&["one=target:one"]));
    assert_eq!(error, "circular dependency detected on stage: one");
}

#[test]
fn platform_of_from_is_asked_for_but_does_not_name_the_result() {
    let graph = planned(
        "FROM --platform=linux/arm64 scratch\nCOPY f /\nARG TARGETPLATFORM\nLABEL t=$TARGETPLATFORM\n",
    );
    assert_eq!(graph.image.config.architecture, "amd64");
    assert_eq!(label(&graph, "t"), "linux/amd64");

    let options = PlanOptions { platform: Some(Platform::new("linux", "arm", Some("v7"))), ..options() };
    let text = "FROM --platform=$BUILDPLATFORM busybox AS build\nARG TARGETPLATFORM BUILDARCH\n\
                RUN echo $TARGETPLATFORM $BUILDARCH\nFROM scratch\nCOPY --from=build /f /f\n";
    let graph = planned_with(text, &options);
    let config = &graph.image.config;
    assert_eq!((&*config.architecture, config.variant.as_deref()), ("arm", Some("v7")));
    assert!(
        env(runs(&graph)[0]).ends_with(&["TARGETPLATFORM=linux/arm/v7".into(), "BUILDARCH=amd64".into()])
    );
    let Op::Image(image) = op(&graph, runs(&graph)[0].base) else { panic!() };
    assert_eq!(image.platform.architecture, "amd64");
}

#[test]
fn an_image_of_another_platform_is_taken_and_reported() {
    let options = PlanOptions { platform: Some(Platform::new("linux", "arm64", None)), ..options() };
    let graph = planned_with("FROM busybox\nARG TARGETARCH\nLABEL a=$TARGETARCH\n", &options);
    assert_eq!(graph.image.config.architecture, "arm64");
    assert_eq!(label(&graph, "a"), "arm64");
    assert_eq!(rules(&graph), ["InvalidBaseImagePlatform"]);
}

#[test]
fn from_expands_and_drops_quotes() {
    let graph = planned("ARG TAG=\nFROM \"${BASE:-busy}${TAG:-box}\" AS one\nFROM 'one'\nLABEL a=1\n");
    assert_eq!(layers(&graph), "Le");
    assert_eq!(rules(&graph), ["UndefinedArgInFrom"]);
}

#[test]
fn steps_are_named_and_counted() {
    let text = "FROM busybox AS one\nRUN a\nWORKDIR /\nWORKDIR /w\nENV X=1\nCOPY $X b\n";
    let graph = planned(text);
    assert_eq!(
        names(&graph),
        [
            "[1/5] FROM docker.io/library/busybox:latest",
            "[2/5] RUN a",
            "[3/5] WORKDIR /w",
            "[internal] load build context",
            "[4/5] COPY 1 b"
        ]
    );
    let text = "FROM scratch AS one\ncopy a b\nFROM one\nrun <<X\n  first\nsecond\nX\n";
    let options = PlanOptions { multi_platform: true, ..options() };
    let graph = planned_with(text, &options);
    assert!(names(&graph).contains(&"[linux/amd64 one 1/1] COPY a b"), "{:?}", names(&graph));
    assert!(names(&graph).contains(&"[linux/amd64 stage-1 1/1] RUN <<X (first...)"), "{:?}", names(&graph));
    let stages: Vec<Option<&str>> = steps(&graph).iter().map(|step| step.stage.as_deref()).collect();
    assert!(stages.contains(&Some("one")) && stages.contains(&Some("1")));
}

#[test]
fn no_cache_names_stages() {
    let text = "FROM busybox AS one\nRUN a\nFROM one AS two\nRUN b\nFROM two\nRUN c\n";
    let ignored = |no_cache: NoCache| -> Vec<bool> {
        let graph = planned_with(text, &PlanOptions { no_cache, ..options() });
        steps(&graph)
            .iter()
            .filter(|step| matches!(step.op, Op::Run(_)))
            .map(|step| step.ignore_cache)
            .collect()
    };
    assert_eq!(ignored(NoCache::Never), [false, false, false]);
    assert_eq!(ignored(NoCache::Always), [true, true, true]);
    assert_eq!(ignored(NoCache::Stages(vec!["TWO".into()])), [false, true, false]);
}

#[test]
fn edges_lead_from_what_is_read_to_the_reader() {
    let graph = planned("FROM busybox AS a\nRUN x\nFROM scratch\nCOPY --from=a /x /\n");
    let order = petgraph::algo::toposort(&graph.dag, None).unwrap();
    assert_eq!(order.len(), 4);
    assert_eq!(*order.last().unwrap(), graph.result);
    let CopySource { input, .. } = &copies(&graph)[0].sources[0];
    assert!(graph.dag.contains_edge(*input, graph.result));
}
