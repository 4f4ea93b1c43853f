//! Triggers.

use super::*;

fn with_triggers(triggers: &[&str]) -> Images {
    let mut image = busybox();
    image.config.on_build = triggers.iter().map(|text| (*text).to_owned()).collect();
    Images::new().with("parent", image)
}

#[test]
fn triggers_of_a_stage_run_first_in_each_child_only() {
    let text = "FROM busybox AS parent\nONBUILD ARG V=default\nONBUILD RUN echo $V\nRUN own\nFROM parent AS child\n\
                LABEL v=$V\nONBUILD LABEL own=1\nFROM child AS grand\nRUN grand\nONBUILD LABEL last=1\n";
    let graph = planned(text);
    let commands: Vec<&str> = runs(&graph).iter().map(|run| run.argv[2].as_str()).collect();
    assert_eq!(commands, ["own", "echo $V", "grand"]);
    assert_eq!((label(&graph, "v"), label(&graph, "own")), ("default", "1"));
    assert_eq!(graph.image.config.config.on_build, ["LABEL last=1"]);
    assert!(names(&graph).contains(&"[child 1/2] ONBUILD RUN echo default"), "{:?}", names(&graph));
}

#[test]
fn variables_are_those_of_the_parents_end() {
    let text = "FROM busybox AS parent\nENV V=early\nONBUILD LABEL v=$V w=$W\nONBUILD ENV W=set\nONBUILD LABEL x=$W\nENV V=late\nFROM parent\nENV V=child\n";
    let graph = planned(text);
    assert_eq!((label(&graph, "v"), label(&graph, "w"), label(&graph, "x")), ("late", "", "set"));
    assert_eq!(layers(&graph), "Leeeeee");
}

#[test]
fn a_triggered_cmd_survives_entrypoint() {
    let text = "FROM busybox AS parent\nCMD [\"parent\"]\nONBUILD CMD [\"triggered\"]\nFROM parent\nENTRYPOINT [\"e\"]\n";
    assert_eq!(planned(text).image.config.config.cmd, Some(vec!["triggered".to_owned()]));
}

#[test]
fn copying_from_a_stage_or_image_fires_nothing() {
    let text =
        "FROM busybox AS parent\nRUN echo\nONBUILD RUN exit 9\nFROM busybox\nCOPY --from=parent /f /f\n";
    assert_eq!(runs(&planned(text)).len(), 1);
    let images = with_triggers(&["RUN exit 9"]);
    let graph = try_plan("FROM busybox\nCOPY --from=parent /f /f\n", &options(), &images).unwrap();
    assert!(runs(&graph).is_empty());
}

#[test]
fn triggers_may_name_stages_and_images_which_are_resolved_in_a_second_wave() {
    let images = with_triggers(&["COPY --from=other /f /g", "RUN --mount=from=tools,target=/t x"])
        .with("tools", busybox());
    let text = "FROM busybox AS other\nRUN echo\nFROM parent\nLABEL a=1\n";
    let graph = try_plan(text, &options(), &images).unwrap();
    assert_eq!(*images.waves.borrow(), [vec!["parent"], vec!["busybox", "tools"]]);
    assert!(matches!(op(&graph, copies(&graph)[0].sources[0].input), Op::Run(_)));
    assert!(graph.image.config.config.on_build.is_empty());
    // The place of a trigger is the FROM that fires it.
    let copy = steps(&graph).into_iter().find(|step| matches!(step.op, Op::Copy(_))).unwrap();
    assert_eq!(copy.span.unwrap().start_line, 3);
}

#[test]
fn bad_triggers_are_found_when_fired() {
    let error = |trigger: &str| {
        let error =
            try_plan("FROM busybox\nLABEL a=1\nFROM parent\n", &options(), &with_triggers(&[trigger]));
        error.unwrap_err()
    };
    assert_eq!(error("NOPE x").span.unwrap().start_line, 3);
    let circle = "FROM busybox AS parent\nONBUILD COPY --from=child /x /\nFROM parent AS child\n";
    assert_eq!(message(circle), "circular dependency detected on stage: child");
}
