//! `SOURCE_DATE_EPOCH` and `rewrite-timestamp`: what was built twice is the same to the last byte.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cooper_testkit::{Context, Output, can_build, program};

const EPOCH: i64 = 1_500_000_000;

/// A project whose file `old` is older than the epoch; all else is newer.
fn project(context: &Context) -> PathBuf {
    let file = context.write(
        "app/Dockerfile",
        "FROM busybox\nRUN mkdir /made && date > /dev/null && echo x > /made/file && ln /made/file /made/hard \
         && rm /bin/wget && rm -r /home && mkdir /home\nCOPY old new /copied/\nWORKDIR /work\n",
    );
    context.write("app/new", "new");
    let old = std::fs::File::create(context.dir().join("app/old")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    file.parent().unwrap().to_owned()
}

fn build(context: &Context, output: &str, flags: &[&str]) -> Output {
    let epoch = format!("--build-arg=SOURCE_DATE_EPOCH={EPOCH}");
    let project = project(context);
    let mut words = vec!["--output", output, epoch.as_str(), project.to_str().unwrap()];
    words.extend(flags);
    context.build(words).expect_success()
}

/// Name and time of every member of a tar, in the words of GNU tar.
fn times(tar: &Path) -> Vec<(String, i64)> {
    let list =
        Output::of(program("tar").env("TZ", "UTC").args(["--full-time", "--numeric-owner", "-tvf"]).arg(tar))
            .expect_success();
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let moment = format!("{}T{}Z", words[3], words[4]);
        let seconds = cooper_oci::parse_rfc3339(&moment).unwrap().0;
        (words[5].trim_end_matches('/').to_owned(), seconds)
    };
    list.stdout.lines().map(of).collect()
}

#[test]
fn images_built_twice_are_equal_and_hold_no_later_time() {
    if !can_build() {
        return;
    }
    let mut archives = Vec::new();
    for (n, kind) in ["oci", "oci", "docker"].iter().enumerate() {
        let context = Context::new("reproducible");
        let archive = context.dir().join(format!("{n}.tar"));
        let output = format!(
            "type={kind},name=demo:1,rewrite-timestamp=true,compression=uncompressed,dest={}",
            archive.display()
        );
        build(&context, &output, &[]);
        archives.push((context, archive));
    }
    let read = |n: usize| std::fs::read(&archives[n].1).unwrap();
    assert!(read(0) == read(1), "two stores, two moments, one archive");
    let (context, archive) = &archives[2];
    let unpacked = context.dir().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    Output::of(program("tar").arg("-xf").arg(archive).arg("-C").arg(&unpacked)).expect_success();
    let manifest = std::fs::read_to_string(unpacked.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let mut all = Vec::new();
    for layer in manifest[0]["Layers"].as_array().unwrap().iter().skip(1) {
        all.extend(times(&unpacked.join(layer.as_str().unwrap())));
    }
    let of =
        |name: &str| all.iter().find(|(path, _)| path == name).unwrap_or_else(|| panic!("{name}: {all:?}")).1;
    assert_eq!((of("copied/old"), of("copied/new")), (1_000_000_000, EPOCH));
    assert_eq!((of("made/file"), of("work"), of("home")), (EPOCH, EPOCH, EPOCH));
    assert!(all.iter().any(|(path, _)| path == "bin/.wh.wget"), "{all:?}");
    assert!(all.iter().all(|(_, time)| *time <= EPOCH), "{all:?}");
}

#[test]
fn a_rewritten_image_lives_in_the_store_and_can_be_built_on() {
    if !can_build() {
        return;
    }
    let context = Context::new("rewritten");
    build(
        &context,
        "type=image,name=demo:1,rewrite-timestamp=true",
        &["--iidfile", context.dir().join("id").to_str().unwrap()],
    );
    let id = std::fs::read_to_string(context.dir().join("id")).unwrap();
    let shown = context.run(["inspect", "demo:1"]).expect_success().stdout;
    assert!(shown.contains(&id), "{id}: {shown}");
    let next =
        context.write("next/Dockerfile", "FROM demo:1\nRUN test \"$(stat -c %Y /made/file)\" = 1500000000\n");
    let archive = context.dir().join("next.tar");
    let output = format!("type=oci,dest={}", archive.display());
    context.build(["--output", &output, next.parent().unwrap().to_str().unwrap()]).expect_success();
    // Without an epoch there is nothing to go by, which is told.
    let plain = context.build([
        "--output",
        "type=image,name=demo:2,rewrite-timestamp=true",
        project(&context).to_str().unwrap(),
    ]);
    let plain = plain.expect_success();
    assert!(plain.stderr.contains("no SOURCE_DATE_EPOCH was found"), "{plain}");
}

#[test]
fn files_that_are_exported_have_the_time_of_the_epoch() {
    if !can_build() {
        return;
    }
    let context = Context::new("epoch-files");
    let out = context.dir().join("out");
    build(&context, &format!("type=local,dest={}", out.display()), &[]);
    for name in ["made", "made/file", "copied/old", "bin", "bin/sh"] {
        assert_eq!(std::fs::symlink_metadata(out.join(name)).unwrap().mtime(), EPOCH, "{name}");
    }
    let archive = context.dir().join("out.tar");
    build(&context, &format!("type=tar,dest={}", archive.display()), &[]);
    assert!(times(&archive).iter().all(|(_, time)| *time == EPOCH));
}
