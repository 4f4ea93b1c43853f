//! Dependencies between crates point down, and crates on one level do not know one another.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use cooper_testkit::{Output, program, workspace};

/// Each crate and those of ours that it may depend on. `cli` calls the builder; of the crates below it uses types
/// (graph, platform, span) and the way into the sandbox, which must be the first thing in `main`.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("cooper-oci", &[]),
    ("cooper-sys", &[]),
    ("cooper-frontend", &["cooper-oci"]),
    ("cooper-snapshotter", &["cooper-oci", "cooper-sys"]),
    ("cooper-sandbox", &["cooper-sys"]),
    ("cooper-registry-client", &["cooper-oci"]),
    (
        "cooper-builder",
        &[
            "cooper-oci",
            "cooper-sys",
            "cooper-frontend",
            "cooper-snapshotter",
            "cooper-sandbox",
            "cooper-registry-client",
        ],
    ),
    ("cooper", &["cooper-builder", "cooper-frontend", "cooper-oci", "cooper-sandbox"]),
    ("cooper-testkit", &[]),
];

#[test]
fn dependencies_point_down() {
    let mut command = program(env!("CARGO"));
    command.args(["metadata", "--format-version=1", "--no-deps", "--offline"]).current_dir(workspace());
    let output = Output::of(&mut command).expect_success();
    let metadata: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let allowed: BTreeMap<_, _> = ALLOWED.into_iter().collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(targets) = allowed.get(name) else {
            wrong.push(format!("{name} has no place in the table of this test"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let target = dependency["name"].as_str().unwrap();
            let ours = target == "cooper" || target.starts_with("cooper-");
            // Tests of any crate may use the testkit, which knows none of them.
            let for_tests = dependency["kind"] == "dev" && target == "cooper-testkit";
            if ours && !for_tests && !targets.contains(&target) {
                wrong.push(format!("{name} -> {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "wrong arrows: {wrong:?}");
}
