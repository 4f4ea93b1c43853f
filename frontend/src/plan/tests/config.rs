//! Instructions that change the config, and their history.

use super::*;

#[test]
fn which_instructions_add_a_layer() {
    let text = "FROM busybox\nARG A=1\nENV B=1\nWORKDIR /\nWORKDIR /tmp\nRUN true\nCOPY empty/ /tmp/\nUSER root\n\
                EXPOSE 1\nONBUILD RUN x\nSHELL [\"sh\", \"-c\"]\nMAINTAINER me\nSTOPSIGNAL 9\n";
    let graph = planned(text);
    assert_eq!(layers(&graph), "LeeeLLLeeeee");
    let config = &graph.image.config;
    assert_eq!(config.author.as_deref(), Some("me"));
    assert_eq!(config.created, None);
    assert_eq!(config.config.on_build, ["RUN x"]);
    assert_eq!(config.config.stop_signal.as_deref(), Some("9"));
    assert_eq!(config.config.user, "root");
    assert_eq!(graph.image.base_history_len, 1);
    let comments: Vec<_> = config.history[1..].iter().map(|entry| entry.comment.as_deref()).collect();
    assert!(comments.iter().all(|comment| *comment == Some("buildkit.dockerfile.v0")));
}

#[test]
fn history_is_worded_as_expected() {
    let text = "FROM busybox\nENV a=1 b=\"x y\"\nLABEL l=$a\nWORKDIR w\nUSER app\nEXPOSE 80 53/udp\nVOLUME /a /b\n\
                CMD [\"sh\", \"-c\", \"say \\\"hi\\\"\"]\nENTRYPOINT run it\nSHELL [\"/bin/bash\", \"-c\"]\n\
                HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f x\nSTOPSIGNAL SIGTERM\nMAINTAINER $a\n";
    assert_eq!(
        history(&planned(text)),
        [
            "(ENV a=1 b=x y)",
            "(LABEL l=1)",
            "WORKDIR /w",
            "(USER app)",
            "(EXPOSE [53/udp 80/tcp])",
            "(VOLUME [/a /b])",
            "(CMD [\"sh\" \"-c\" \"say \\\"hi\\\"\"])",
            "(ENTRYPOINT [\"/bin/sh\" \"-c\" \"run it\"])",
            "(SHELL [/bin/bash -c])",
            "(HEALTHCHECK {Test:[CMD-SHELL curl -f x] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:3})",
            "(STOPSIGNAL SIGTERM)",
            "(MAINTAINER $a)",
        ]
    );
}

#[test]
fn env_keeps_its_place_and_sees_the_old_values() {
    let graph = planned("FROM busybox\nENV A=1\nENV B=2\nENV A=3 C=$A\nENV PATH=/extra:$PATH\n");
    assert_eq!(
        graph.image.config.config.env,
        [format!("PATH=/extra:{}", &PATH[5..]), "A=3".into(), "B=2".into(), "C=1".into()]
    );
}

#[test]
fn a_missing_path_is_filled_in() {
    let mut bare = busybox();
    bare.config.env.clear();
    let graph = try_plan("FROM bare\nENV A=1\n", &options(), &Images::new().with("bare", bare)).unwrap();
    assert_eq!(graph.image.config.config.env, [PATH, "A=1"]);
}

#[test]
fn entrypoint_clears_an_inherited_cmd() {
    let cmd = |text: &str| planned(text).image.config.config.cmd;
    assert_eq!(cmd("FROM busybox\nENTRYPOINT [\"e\"]\n"), None);
    assert_eq!(cmd("FROM busybox\nENTRYPOINT []\n"), None);
    assert_eq!(cmd("FROM busybox\nCMD [\"c\"]\nENTRYPOINT [\"e\"]\n"), Some(vec!["c".to_owned()]));
    assert_eq!(cmd("FROM busybox AS a\nCMD [\"c\"]\nFROM a\nENTRYPOINT [\"e\"]\n"), None);
    let graph = planned("FROM busybox\nENTRYPOINT [\"e\"]\nENTRYPOINT []\n");
    assert_eq!(graph.image.config.config.entrypoint, None);
}

#[test]
fn a_bare_command_is_an_empty_shell_line() {
    let graph = planned("FROM busybox\nENTRYPOINT\nCMD\n");
    let empty = ["/bin/sh", "-c", ""].map(str::to_owned).to_vec();
    assert_eq!(graph.image.config.config.cmd, Some(empty.clone()));
    assert_eq!(graph.image.config.config.entrypoint, Some(empty));
    assert_eq!(graph.image.config.config.args_escaped, Some(true));
}

#[test]
fn shell_is_taken_literally_and_used_from_there_on() {
    let graph =
        planned("FROM busybox AS a\nENV V=val\nSHELL [\"/bin/sh\", \"$V\", \"-c\"]\nFROM a\nCMD $V\nRUN y\n");
    let argv = |last: &str| ["/bin/sh", "$V", "-c", last].map(str::to_owned).to_vec();
    assert_eq!(graph.image.config.config.cmd, Some(argv("$V")));
    assert_eq!(runs(&graph)[0].argv, argv("y"));
    assert_eq!(rules(&graph), Vec::<&str>::new());
}

#[test]
fn texts_of_the_config_are_expanded() {
    let text = "FROM busybox\nENV d=data u=app n=80 s=TERM proto=udp P=\"80 443/udp  8000-8001\"\n\
                WORKDIR /w-$d/${missing}x\nUSER ${u}:${g:-staff}\nVOLUME /v-$d \"/q-$d\"\nVOLUME [\"/j-$d\", \"/k l\"]\n\
                STOPSIGNAL SIG$s\nEXPOSE ${n}80/$proto\nEXPOSE $P 9\n";
    let config = planned(text).image.config.config;
    assert_eq!(config.working_dir, "/w-data/x");
    assert_eq!(config.user, "app:staff");
    assert_eq!(config.stop_signal.as_deref(), Some("SIGTERM"));
    let ports: Vec<&str> = config.exposed_ports.keys().map(String::as_str).collect();
    assert_eq!(ports.join(" "), "443/udp 80/tcp 8000/tcp 8001/tcp 8080/udp 9/tcp");
    assert!(config.volumes.contains_key("/j-data") && config.volumes.contains_key("/k l"));
}

#[test]
fn healthcheck_is_kept_in_nanoseconds_and_replaces_all() {
    let text = "FROM busybox AS base\nHEALTHCHECK --interval=5s --retries=9 CMD old\nFROM base\nHEALTHCHECK --timeout=500ms CMD [\"a\", \"b\"]\n";
    let check = planned(text).image.config.config.healthcheck.unwrap();
    assert_eq!(check.test, ["CMD", "a", "b"]);
    assert_eq!((check.interval, check.retries, check.timeout), (0, 0, 500_000_000));
    let check = planned("FROM busybox\nHEALTHCHECK NONE\n").image.config.config.healthcheck.unwrap();
    assert_eq!(check.test, ["NONE"]);
}

#[test]
fn labels_of_the_command_line_come_last_without_history() {
    let labels = [("a", "flag"), ("c", "x=y")].map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let graph = planned_with("FROM busybox\nLABEL a=file b=file\n", &PlanOptions { labels, ..options() });
    assert_eq!((label(&graph, "a"), label(&graph, "b"), label(&graph, "c")), ("flag", "file", "x=y"));
    assert_eq!(layers(&graph), "Le");
}

#[test]
fn workdir_joins_and_cleans_what_is_relative_and_belongs_to_the_user() {
    let text = "FROM busybox\nWORKDIR a\nWORKDIR b/./c/\nUSER app\nWORKDIR ../d\nWORKDIR /x//y/../z/\nWORKDIR c d\nWORKDIR $NOPE\nWORKDIR /\nWORKDIR ../..\n";
    let graph = planned(text);
    let made: Vec<(&str, &str)> = mkdirs(&graph).iter().map(|dir| (&*dir.path, &*dir.user)).collect();
    assert_eq!(
        made,
        [
            ("/a", ""),
            ("/a/b/c", ""),
            ("/a/b/d", "app"),
            ("/x//y/../z/", "app"),
            ("/x/z/c d", "app"),
            ("/x/z/c d", "app"),
        ]
    );
    assert_eq!(graph.image.config.config.working_dir, "/");
    assert_eq!(layers(&graph), "LLLeLLLLee");
    assert_eq!(
        graph.warnings[0].message,
        "Relative workdir \"a\" can have unexpected results if the base image changes"
    );
}

#[test]
fn an_empty_user_is_the_default_one() {
    let graph = planned("FROM busybox\nUSER app\nUSER $NOPE\nRUN id\n");
    assert_eq!(graph.image.config.config.user, "");
    assert_eq!(runs(&graph)[0].user, "");
}

#[test]
fn fields_that_are_not_passed_on_are_dropped() {
    let mut old = busybox();
    old.other.insert("docker_version".into(), "1".into());
    old.config.other.insert("Hostname".into(), "x".into());
    old.config.on_build.push("RUN fired".into());
    let graph = try_plan("FROM old\n", &options(), &Images::new().with("old", old)).unwrap();
    let written = serde_json::to_value(&graph.image.config).unwrap();
    assert!(written.get("docker_version").is_none() && written.get("created").is_none());
    assert!(written["config"].get("Hostname").is_none() && written["config"].get("OnBuild").is_none());
}
