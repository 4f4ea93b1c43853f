//! A large COPY at the end that only goes to a registry or an archive makes no copy of the files. Nobody must be able to
//! tell.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use cooper_testkit::{Context, Output, can_build};
use serde_json::Value;

/// Large enough to be streamed.
const BIG_BYTES: u64 = 17 << 20;

const DOCKERFILE: &str = "FROM busybox\nCOPY a /app/\nCOPY b /app/\n";

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Two directories that have names in common: with the same content, with another, and with another kind.
fn project(context: &Context) -> PathBuf {
    let app = context.dir().join("app");
    for (name, content) in [
        ("a/same", "same"),
        ("b/same", "same"),
        ("a/equal in size", "old"),
        ("b/equal in size", "new"),
        ("a/untouched/x", "x"),
        ("b/untouched/x", "x"),
        ("a/touched/x", "x"),
        ("b/touched/x", "y"),
        ("a/link", "a file in the way of a link"),
        ("b/dir/file", "1"),
        ("b/ignored", "never seen"),
        (".dockerignore", "b/ignored\n"),
        ("Dockerfile", DOCKERFILE),
    ] {
        context.write(&format!("app/{name}"), content);
    }
    std::os::unix::fs::symlink("same", app.join("b/link")).unwrap();
    context.write("app/b/big", "begins").parent().unwrap();
    File::options().write(true).open(app.join("b/big")).unwrap().set_len(BIG_BYTES).unwrap();
    // What is equal but for its time is not the same.
    for name in ["same", "equal in size", "untouched/x", "untouched", "touched/x", "touched"] {
        for side in ["a", "b"] {
            let file = File::open(app.join(side).join(name)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        }
    }
    app
}

/// Without a time of its own, no two images would be equal.
const EPOCH: &str = "--build-arg=SOURCE_DATE_EPOCH=1500000000";

/// Builds an OCI layout, and more outputs if there are any. Digests of its layers and of its config's.
fn build(context: &Context, app: &Path, more: &[&str]) -> Vec<String> {
    build_as(context, app, "gzip", more)
}

/// As [`build`], with layers of another form.
fn build_as(context: &Context, app: &Path, compression: &str, more: &[&str]) -> Vec<String> {
    let layout = context.dir().join("layout");
    let output = format!("type=oci,tar=false,compression={compression},dest={}", layout.display());
    let mut words = vec![EPOCH, "--output", &output];
    words.extend(more);
    words.push(app.to_str().unwrap());
    context.build(words).expect_success();
    let blob =
        |digest: &Value| layout.join("blobs/sha256").join(&digest.as_str().unwrap()["sha256:".len()..]);
    let index = json(&layout.join("index.json"));
    let manifest = json(&blob(&index["manifests"][0]["digest"]));
    let layers = manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].to_string());
    let config = json(&blob(&manifest["config"]["digest"]));
    layers.chain([config["rootfs"]["diff_ids"].to_string()]).collect()
}

fn snapshots(context: &Context) -> usize {
    std::fs::read_dir(context.store().join("snapshots")).unwrap().count()
}

#[test]
fn the_layer_is_that_of_a_copy() {
    if !can_build() {
        return;
    }
    for (line, compression) in [
        ("COPY b /app/", "gzip"),
        ("COPY b /app/", "uncompressed"),
        ("COPY --chown=7:8 --chmod=u+x b /app", "zstd"),
        ("COPY --exclude=dir b /new/place", "uncompressed"),
        ("COPY . /", "gzip"),
    ] {
        let (streamed, copied) = (Context::new("streamed"), Context::new("copied"));
        let app = project(&streamed);
        streamed.write("app/Dockerfile", DOCKERFILE.replace("COPY b /app/", line));
        let files = format!("type=local,dest={}", copied.dir().join("files").display());
        let wanted = build_as(&copied, &app, compression, &["--output", &files]);
        assert_eq!(build_as(&streamed, &app, compression, &[]), wanted, "{line}");
        // Not the same twice: one store has no copy of the last layer. The root itself is left to the copy.
        let less = usize::from(line != "COPY . /");
        assert_eq!(snapshots(&streamed), snapshots(&copied) - less, "{line}");
    }
}

#[test]
fn the_last_run_is_compressed_as_any_other() {
    if !can_build() {
        return;
    }
    let (early, late) = (Context::new("early"), Context::new("late"));
    let run = "RUN for n in 1 2 3; do cat /bin/busybox; done > /big && sleep 1 && cp /big /copy && echo x >> /big && \\\n\
               touch -d @1000000000 /big /copy\n";
    let app = early.write("app/Dockerfile", format!("FROM busybox\n{run}")).parent().unwrap().to_owned();
    late.build([EPOCH, app.to_str().unwrap()]).expect_success();
    let wanted = build(&late, &app, &[]);
    assert_eq!(build(&early, &app, &[]), wanted);
}

#[test]
fn builds_go_on_from_it() {
    if !can_build() {
        return;
    }
    let context = Context::new("streamed-next");
    let app = project(&context);
    let first = build(&context, &app, &[]);
    context.run(["prune"]).expect_success();
    assert_eq!(build(&context, &app, &[]), first);
    let look = "RUN test $(wc -c < /app/big) = 17825792 && test \"$(cat /app/link)\" = same && test ! -e /app/ignored\n";
    context
        .write("next/Dockerfile", format!("{DOCKERFILE}{look}FROM scratch\nCOPY --from=0 /app/dir/file /\n"));
    let next = context.dir().join("next/Dockerfile");
    let files = context.dir().join("files");
    let output = format!("type=local,dest={}", files.display());
    let words = [EPOCH, "-f", next.to_str().unwrap(), "--output", &output, app.to_str().unwrap()];
    let Output { stderr, .. } = context.build(words).expect_success();
    assert_eq!(std::fs::read_to_string(files.join("file")).unwrap(), "1");
    for step in ["COPY a /app/", "COPY b /app/"] {
        // Other steps may tell something in between.
        let told = stderr.lines().find(|line| line.ends_with(step)).unwrap();
        let cached = format!("{} CACHED", told.split(' ').next().unwrap());
        assert!(stderr.lines().any(|line| line == cached), "{step}: {stderr}");
    }
}

#[test]
fn a_damaged_layer_is_made_again() {
    if !can_build() {
        return;
    }
    let context = Context::new("streamed-damaged");
    let app = project(&context);
    let first = build(&context, &app, &[]);
    let hex = first[2].trim_matches('"').trim_start_matches("sha256:");
    let blob = context.store().join("blobs/sha256").join(hex);
    std::fs::set_permissions(&blob, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let next = context.write("next/Dockerfile", format!("{DOCKERFILE}RUN test -s /app/big\n"));
    let words = [EPOCH, "-f", next.to_str().unwrap(), app.to_str().unwrap()];
    let refused = context.build(words);
    assert!(!refused.success(), "a damaged layer was used");
    assert!(refused.stderr.contains("again"), "{}", refused.stderr);
    context.build(words).expect_success();
    assert_eq!(build(&context, &app, &[]), first);
}

#[test]
fn what_cannot_be_copied_cannot_be_streamed() {
    if !can_build() {
        return;
    }
    let context = Context::new("streamed-refused");
    let app = project(&context);
    for (way, line) in [("dir", "RUN mkdir -p /app/big"), ("file", "RUN mkdir /app && touch /app/dir")] {
        context.write("app/Dockerfile", format!("FROM busybox\n{line}\nCOPY b /app/\n"));
        let layout = format!("type=oci,dest={}", context.dir().join("x.tar").display());
        let streamed = context.build(["--output", &layout, app.to_str().unwrap()]);
        let copied = context.build([app.to_str().unwrap()]);
        assert!(!streamed.success() && !copied.success(), "{way}");
        let told = |output: &Output| output.stderr[output.stderr.find("error:").unwrap()..].to_owned();
        assert_eq!(told(&streamed), told(&copied), "{way}");
    }
}
