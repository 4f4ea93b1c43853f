//! Several layers at once: R-045.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use cooper_testkit::{Context, Door, Registry, can_build, wait_for};

/// Four layers in a registry; their digests.
fn stocked(registry: &Registry) -> Vec<String> {
    let context = Context::new("parallel-source");
    let mut dockerfile = "FROM scratch\n".to_owned();
    for n in 0..4 {
        context.write(&format!("project/{n}"), vec![n; 300_000]);
        writeln!(dockerfile, "COPY {n} /{n}").unwrap();
    }
    let name = registry.image("app:1");
    context.build_text(&dockerfile, &["-t", &name, "--push"]);
    let manifest = context.run(["manifest", &name]).expect_success().stdout;
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn r045_a_layer_that_fails_ends_the_others_and_leaves_nothing() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let layers = stocked(&registry);
    registry.lose(&layers[3]);
    // One of the others never comes.
    let door = Door::before(&registry.host(), &format!("GET /v2/app/blobs/{} ", layers[1]), 0, 0);
    let name = door.image("app:1");
    for command in ["pull", "build"] {
        let context = Context::new("parallel");
        let file = context.write("project/Dockerfile", format!("FROM {name}\nCOPY Dockerfile /\n"));
        let mut process = match command {
            "pull" => context.command(["pull", &name]),
            _ => context.build_command([file.parent().unwrap()]),
        };
        let mut process = process.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let ended = wait_for(Duration::from_mins(1), || process.try_wait().unwrap().is_some());
        if !ended {
            process.kill().unwrap();
        }
        let output = process.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(ended, "{command} waits for the others: {told}");
        assert!(!output.status.success() && told.contains(&layers[3]), "{command}: {told}");
        // What a machine too busy left in a second goes with the next command.
        context.run(["images"]).expect_success();
        for dir in ["tmp", "partial"] {
            let left = std::fs::read_dir(context.store().join(dir)).into_iter().flatten().count();
            assert_eq!(left, 0, "{command} leaves files in {dir}");
        }
    }
}
