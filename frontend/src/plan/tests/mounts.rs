//! `RUN --mount`.

use super::*;
use crate::graph::{CacheSharing, MountKind, MountOp};

fn mounts(flags: &str) -> Vec<MountOp> {
    let text =
        format!("FROM busybox AS seed\nRUN seed\nFROM busybox\nENV T=/t/x\nWORKDIR /w\nRUN {flags} x\n");
    let graph = planned(&text);
    runs(&graph).last().unwrap().mounts.clone()
}

fn target(mount: &MountOp) -> &str {
    mount.target.as_deref().unwrap()
}

#[test]
fn binds() {
    let text = "FROM busybox AS src\nRUN a\nFROM busybox\nRUN --mount=target=/m --mount=type=bind,from=SRC,source=d/../e,dst=rel,rw --mount=from=busybox,target=/b x\n";
    let graph = planned(text);
    let run = runs(&graph)[1];
    let found: Vec<(&str, &Op, &str, bool)> = run
        .mounts
        .iter()
        .map(|mount| match &mount.kind {
            MountKind::Bind { from, source, read_only } => {
                (target(mount), op(&graph, *from), source.as_str(), *read_only)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(matches!(found[0], ("/m", Op::Local(_), "/", true)));
    assert!(matches!(found[1], ("/rel", Op::Run(_), "/e", false)));
    assert!(matches!(found[2], ("/b", Op::Image(_), "/", true)));
    for mount in &run.mounts {
        let MountKind::Bind { from, .. } = mount.kind else { panic!() };
        assert!(graph.dag.contains_edge(from, graph.result));
    }
    assert_eq!(run.mounts[1].span.unwrap().start_line, 4);
}

#[test]
fn targets_are_relative_to_the_working_directory() {
    let found =
        mounts("--mount=type=tmpfs,target=a/../b --mount=source=f --mount=type=tmpfs,target=$T,size=2m");
    assert_eq!(found.iter().map(target).collect::<Vec<_>>(), ["/w/b", "/w", "/t/x"]);
    assert_eq!(found[2].kind, MountKind::Tmpfs { size_bytes: Some(2 << 20), read_only: false });
    assert_eq!(message("FROM busybox\nRUN --mount=source=f x\n"), "invalid mount target \"/\"");
}

#[test]
fn caches() {
    let found = mounts(
        "--mount=type=cache,target=/c/./d/ --mount=type=cache,target=rel,sharing=locked,id=mine,ro \
         --mount=type=cache,target=/x,mode=1777,uid=5 --mount=type=cache,target=/y,from=seed,source=/s",
    );
    let MountKind::Cache { id, sharing, from, read_only, uid, gid, mode, source } = &found[0].kind else {
        panic!()
    };
    assert_eq!((&**id, *sharing, *from, *read_only), ("/c/d", CacheSharing::Shared, None, false));
    assert_eq!((*uid, *gid, *mode, &**source), (0, 0, 0o755, "/"));
    assert!(
        matches!(&found[1].kind, MountKind::Cache { id, sharing: CacheSharing::Locked, read_only: true, .. } if id == "mine")
    );
    assert_eq!(target(&found[1]), "/w/rel");
    assert!(matches!(&found[2].kind, MountKind::Cache { mode: 0o777, uid: 5, .. }));
    assert!(matches!(&found[3].kind, MountKind::Cache { from: Some(_), source, .. } if source == "/s"));
}

#[test]
fn a_relative_cache_target_is_an_id_as_written() {
    let graph = planned_with(
        "FROM busybox\nWORKDIR /w\nRUN --mount=type=cache,target=rel/ x\n",
        &with_args(&[("BUILDKIT_CACHE_MOUNT_NS", "ns")]),
    );
    assert!(matches!(&runs(&graph)[0].mounts[0].kind, MountKind::Cache { id, .. } if id == "ns/rel"));
}

#[test]
fn secrets() {
    let found = mounts(
        "--mount=type=secret,id=a/tok --mount=type=secret,target=s/key,mode=440,uid=3 \
         --mount=type=secret,src=n,env=N,required --mount=type=secret,id=m,env=M,target=/f",
    );
    let secret = |at: usize| match &found[at].kind {
        MountKind::Secret { id, env, required, uid, mode, .. } => {
            (found[at].target.as_deref(), id.as_str(), env.as_deref(), *required, *uid, *mode)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(secret(0), (Some("/run/secrets/tok"), "a/tok", None, false, 0, 0o400));
    assert_eq!(secret(1), (Some("/w/s/key"), "key", None, false, 3, 0o440));
    assert_eq!(secret(2), (None, "n", Some("N"), true, 0, 0o400));
    assert_eq!(secret(3), (Some("/f"), "m", Some("M"), false, 0, 0o400));
}

#[test]
fn secret_variables_are_masked_in_names() {
    let graph = planned("FROM busybox\nENV TOK=old\nRUN --mount=type=secret,id=t,env=TOK echo $TOK\n");
    assert!(names(&graph).iter().any(|name| name.ends_with("echo ****")), "{:?}", names(&graph));
}

#[test]
fn agents() {
    let text = "FROM busybox\nRUN --mount=type=ssh --mount=type=ssh,id=b,required,target=/s,uid=1 x\n";
    let graph = planned(text);
    let run = runs(&graph)[0];
    assert_eq!(run.mounts.iter().map(target).collect::<Vec<_>>(), ["/run/buildkit/ssh_agent.0", "/s"]);
    assert!(
        matches!(&run.mounts[0].kind, MountKind::Ssh { id, required: false, mode: 0o600, .. } if id == "default")
    );
    assert!(matches!(&run.mounts[1].kind, MountKind::Ssh { id, required: true, uid: 1, .. } if id == "b"));
    assert_eq!(env(run), [PATH, "SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0"]);
    let graph = planned("FROM busybox\nENV SSH_AUTH_SOCK=/mine\nRUN --mount=type=ssh x\n");
    assert_eq!(env(runs(&graph)[0]), [PATH, "SSH_AUTH_SOCK=/mine"]);
}

#[test]
fn a_mount_may_not_look_ahead() {
    let text = "FROM busybox AS a\nRUN --mount=from=b,target=/m x\nFROM busybox AS b\nFROM a\n";
    assert_eq!(
        message(text),
        "cannot mount from stage \"b\" to \"/m\", stage needs to be defined before current command"
    );
    // Numbers are images here.
    let error = message("FROM busybox AS a\nFROM busybox\nRUN --mount=from=0,target=/m x\n");
    assert!(error.contains("not found"), "{error}");
}
