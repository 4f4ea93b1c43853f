//! Where a build's result may go, and that other programs can read it there.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cooper_testkit::{Context, Output, Registry, can_build, program};
use serde_json::Value;

const DOCKERFILE: &str = "FROM busybox\nRUN mkdir /made && echo hello > /made/file && chmod 640 /made/file \\\n    \
     && ln -s file /made/link && ln /made/file /made/hard && rm -r /home\nENV KEY=value\nCMD [\"cat\", \"/made/file\"]\n";

fn project(context: &Context) -> PathBuf {
    context.write("app/Dockerfile", DOCKERFILE).parent().unwrap().to_owned()
}

/// Builds with one output into `dest`, which `{}` stands for; the digests that were written to the metadata file.
fn build(context: &Context, output: &str, dest: &Path) -> Value {
    let output = output.replace("{}", dest.to_str().unwrap());
    let metadata = context.dir().join("metadata");
    let flag = format!("--metadata-file={}", metadata.display());
    context.build(["--output", &output, &flag, project(context).to_str().unwrap()]).expect_success();
    serde_json::from_str(&std::fs::read_to_string(metadata).unwrap()).unwrap()
}

fn skopeo(context: &Context, arguments: &[&str]) -> Option<Output> {
    Some(Output::of(cooper_testkit::skopeo(context.dir())?.args(arguments)).expect_success())
}

/// skopeo reads the image at `source` to its last byte, and sees the digest that the build told.
fn others_read(context: &Context, source: &str, metadata: &Value, name: &str) -> Option<Value> {
    let copy = format!("oci:{}:x", context.dir().join(name).display());
    skopeo(context, &["copy", "-q", source, &copy])?;
    let config = skopeo(context, &["inspect", "--config", "--raw", source])?;
    let config: Value = serde_json::from_str(&config.stdout).unwrap();
    assert_eq!(config["config"]["Cmd"], serde_json::json!(["cat", "/made/file"]));
    if !source.starts_with("docker-archive:") {
        let digest = skopeo(context, &["inspect", "--format={{.Digest}}", source])?;
        assert_eq!(digest.stdout.trim(), metadata["containerimage.digest"].as_str().unwrap());
    }
    let raw = skopeo(context, &["inspect", "--raw", source])?;
    Some(serde_json::from_str(&raw.stdout).unwrap())
}

#[test]
fn oci_archives_and_layouts() {
    if !can_build() {
        return;
    }
    let context = Context::new("oci");
    let archive = context.dir().join("a.tar");
    let metadata = build(&context, "type=oci,name=demo:1,dest={}", &archive);
    others_read(&context, &format!("oci-archive:{}", archive.display()), &metadata, "c1");
    let layout = context.dir().join("layout");
    let metadata = build(&context, "type=oci,tar=false,dest={}", &layout);
    others_read(&context, &format!("oci:{}", layout.display()), &metadata, "c2");
    // What Cooper writes it can build on.
    let file = context
        .write("next/Dockerfile", "FROM base\nRUN test \"$(cat /made/link)\" = hello && test $KEY = value\n");
    let base = format!("base=oci-layout://{}", layout.display());
    context.build(["--build-context", &base, file.parent().unwrap().to_str().unwrap()]).expect_success();
}

#[test]
fn compressions() {
    if !can_build() {
        return;
    }
    let context = Context::new("compression");
    for (name, ending) in [("gzip", "tar+gzip"), ("zstd", "tar+zstd"), ("uncompressed", "tar")] {
        let archive = context.dir().join(format!("{name}.tar"));
        let output = format!("type=oci,compression={name},force-compression=true,dest={{}}");
        let metadata = build(&context, &output, &archive);
        let source = format!("oci-archive:{}", archive.display());
        let Some(manifest) = others_read(&context, &source, &metadata, name) else { return };
        for layer in manifest["layers"].as_array().unwrap() {
            assert_eq!(
                layer["mediaType"],
                format!("application/vnd.oci.image.layer.v1.{ending}"),
                "{manifest}"
            );
        }
    }
}

#[test]
fn docker_archives() {
    if !can_build() {
        return;
    }
    let context = Context::new("docker");
    let archive = context.dir().join("a.tar");
    let metadata = build(&context, "type=docker,name=demo:1,dest={}", &archive);
    others_read(&context, &format!("docker-archive:{}", archive.display()), &metadata, "c1");
    others_read(
        &context,
        &format!("docker-archive:{}:docker.io/library/demo:1", archive.display()),
        &metadata,
        "c2",
    );
    others_read(&context, &format!("oci-archive:{}", archive.display()), &metadata, "c3");
}

fn check_files(dir: &Path) {
    assert_eq!(std::fs::read_to_string(dir.join("made/file")).unwrap(), "hello\n");
    let file = std::fs::symlink_metadata(dir.join("made/file")).unwrap();
    assert_eq!(file.permissions().mode() & 0o7777, 0o640);
    assert_eq!(file.ino(), std::fs::metadata(dir.join("made/hard")).unwrap().ino(), "hard links stay links");
    assert_eq!(std::fs::read_link(dir.join("made/link")).unwrap(), Path::new("file"));
    assert!(!dir.join("home").exists(), "what was removed is not there");
    assert!(dir.join("bin/sh").exists());
    let whiteouts = Output::of(program("find").arg(dir).args(["-name", ".wh.*"])).expect_success();
    assert_eq!(whiteouts.stdout, "");
}

#[test]
fn directories_and_tars() {
    if !can_build() {
        return;
    }
    let context = Context::new("files");
    let directory = context.dir().join("out");
    build(&context, "type=local,dest={}", &directory);
    check_files(&directory);
    let short = context.dir().join("short");
    build(&context, "{}", &short);
    check_files(&short);
    let archive = context.dir().join("out.tar");
    build(&context, "type=tar,dest={}", &archive);
    let unpacked = context.dir().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    Output::of(program("tar").args(["-x", "--no-same-owner", "-f"]).arg(&archive).arg("-C").arg(&unpacked))
        .expect_success();
    check_files(&unpacked);
}

#[test]
fn into_the_store_and_registries() {
    if !can_build() {
        return;
    }
    let context = Context::new("store");
    let metadata = build(&context, "type=image,\"name=demo:1,demo:2\"", Path::new("/unused"));
    let seen = context.run(["inspect", "demo:2"]).expect_success();
    let seen: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(seen[0]["digest"], metadata["containerimage.digest"]);
    assert_eq!(seen[0]["imageId"], metadata["containerimage.config.digest"]);
    assert_eq!(seen[0]["config"]["config"]["Env"].as_array().unwrap().last().unwrap(), "KEY=value");
    let Some(registry) = Registry::start() else { return };
    let name = registry.image("demo:3");
    let pushed = build(&context, &format!("type=registry,name={name}"), Path::new("/unused"));
    let source = format!("docker://{name}");
    let Some(digest) = skopeo(&context, &["inspect", "--tls-verify=false", "--format={{.Digest}}", &source])
    else {
        return;
    };
    assert_eq!(digest.stdout.trim(), pushed["containerimage.digest"].as_str().unwrap());
    let name = registry.image("demo:4");
    build(&context, &format!("type=image,name={name},push=true"), Path::new("/unused"));
    context.run(["pull", "-q", &name]).expect_success();
}

#[test]
fn many_outputs_of_one_build() {
    if !can_build() {
        return;
    }
    let context = Context::new("many");
    let (archive, directory) = (context.dir().join("a.tar"), context.dir().join("out"));
    let outputs =
        [format!("type=oci,dest={}", archive.display()), format!("type=local,dest={}", directory.display())];
    let project = project(&context);
    let id = context.dir().join("id");
    let flag = format!("--iidfile={}", id.display());
    let words = [
        "-o",
        &outputs[0],
        "-o",
        &outputs[1],
        "-o",
        "type=image,name=demo:1",
        &flag,
        project.to_str().unwrap(),
    ];
    context.build(words).expect_success();
    check_files(&directory);
    assert!(archive.is_file());
    let images = context.run(["images", "-q"]).expect_success();
    assert_eq!(images.stdout.trim(), std::fs::read_to_string(id).unwrap().trim());
}

#[test]
fn quiet_prints_the_image_id_only() {
    if !can_build() {
        return;
    }
    let context = Context::new("quiet");
    let id = context.dir().join("id");
    let flag = format!("--iidfile={}", id.display());
    let output =
        context.build(["-q", "-t", "demo:1", &flag, project(&context).to_str().unwrap()]).expect_success();
    assert_eq!(output.stdout.trim(), std::fs::read_to_string(id).unwrap().trim());
    assert_eq!(output.stderr, "");
}

#[test]
fn an_archive_that_is_begun_during_the_last_command_is_that_of_a_later_build() {
    if !can_build() {
        return;
    }
    let context = Context::new("early");
    let dockerfile = "FROM busybox\nRUN echo below > /below\nRUN yes | head -c 3000000 > /large && \
                      i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done\n";
    let app = context.write("app/Dockerfile", dockerfile).parent().unwrap().to_owned();
    let build = |name: &str, more: &[&str]| {
        let path = context.dir().join("out").join(name);
        let output = format!("type=oci,name=demo:1,dest={}", path.display());
        let words = [&["--output", &output, app.to_str().unwrap()], more].concat();
        (context.build(words), path)
    };
    std::fs::create_dir(context.dir().join("out")).unwrap();
    let (first, early) = build("early.tar", &[]);
    first.expect_success();
    let (second, late) = build("late.tar", &[]);
    second.expect_success();
    assert!(std::fs::read(&early).unwrap() == std::fs::read(&late).unwrap());
    assert_eq!(std::fs::metadata(early).unwrap().mode() & 0o777, 0o644);
    // One is replaced, and a command that fails leaves what was there.
    let before = std::fs::metadata(&late).unwrap().ino();
    build("late.tar", &["--no-cache"]).0.expect_success();
    assert_ne!(std::fs::metadata(&late).unwrap().ino(), before);
    context.write("app/Dockerfile", "FROM busybox\nRUN false\n");
    let kept = std::fs::read(&late).unwrap();
    assert_ne!(build("late.tar", &[]).0.code, Some(0));
    assert!(std::fs::read(&late).unwrap() == kept);
    assert_eq!(std::fs::read_dir(context.dir().join("out")).unwrap().count(), 2);
}

#[test]
fn a_broken_destination_fails_and_leaves_nothing() {
    if !can_build() {
        return;
    }
    let context = Context::new("broken");
    let file = context.write("file", "");
    let output = format!("type=oci,dest={}/a.tar", file.display());
    let failed = context.build(["-o", &output, project(&context).to_str().unwrap()]);
    assert!(matches!(failed.code, Some(1 | 78)), "{failed}");
    assert!(failed.stderr.contains(&file.display().to_string()), "the place is named: {failed}");
}

#[test]
fn several_platforms_have_a_directory_each_unless_they_are_not_split() {
    let context = Context::new("split");
    let file = context.write(
        "app/Dockerfile",
        "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /only-$TARGETARCH\nCOPY amd64 /d/link\n",
    );
    for name in ["amd64", "arm"] {
        context.write(&format!("app/{name}"), name);
    }
    let project = file.parent().unwrap().to_str().unwrap();
    let build = |output: &str, platforms: &str| {
        let platform = format!("--platform={platforms}");
        context.build(["--output", output, &platform, project])
    };
    let both = "linux/amd64,linux/arm/v7";
    let out = |name: &str| context.dir().join(name);
    build(&format!("type=local,dest={}", out("split").display()), both).expect_success();
    for name in ["linux_amd64/only-amd64", "linux_arm_v7/only-arm", "linux_arm_v7/d/link"] {
        assert!(out("split").join(name).is_file(), "{name}");
    }
    let archive = out("a.tar");
    build(&format!("type=tar,dest={}", archive.display()), both).expect_success();
    let mut tar = program("tar");
    let list = Output::of(tar.arg("-tf").arg(&archive)).expect_success().stdout;
    let names: Vec<&str> = list.lines().collect();
    let want =
        ["linux_amd64/", "linux_amd64/d/", "linux_amd64/d/link", "linux_amd64/only-amd64", "linux_arm_v7/"];
    assert_eq!(names[..5], want);
    let one = format!("type=local,platform-split=true,dest={}", out("one").display());
    build(&one, "linux/amd64").expect_success();
    assert!(out("one/linux_amd64/only-amd64").is_file());
    let merged = format!("type=local,platform-split=false,dest={}", out("merged").display());
    let refused = build(&merged, both).expect_code(1);
    let told = "cannot overwrite d/link from linux_amd64 with linux_arm_v7 when split option is disabled";
    assert!(refused.stderr.contains(told), "{refused}");
    assert!(!out("merged").exists());
    context.write("app/Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /only-$TARGETARCH\n");
    build(&merged, both).expect_success();
    assert!(out("merged/only-amd64").is_file() && out("merged/only-arm").is_file());
}

#[test]
fn the_metadata_has_what_buildx_writes() {
    let context = Context::new("metadata");
    let file = context.write("app/Dockerfile", "FROM scratch AS Base\nCOPY Dockerfile /\n");
    let (metadata, id) = (context.dir().join("metadata"), context.dir().join("id"));
    let build = |flags: &[&str]| -> Value {
        let archive = format!("type=oci,dest={}", context.dir().join("a.tar").display());
        let mut command = context.command(["build", "-t", "demo:1", "--output", &archive]);
        command.arg("--metadata-file").arg(&metadata).arg("--iidfile").arg(&id);
        command.env("BUILDX_METADATA_WARNINGS", "1").args(flags).arg(file.parent().unwrap());
        Output::of(&mut command).expect_success();
        serde_json::from_str(&std::fs::read_to_string(&metadata).unwrap()).unwrap()
    };
    let id = || std::fs::read_to_string(&id).unwrap();
    let one = build(&["--build-arg=SOURCE_DATE_EPOCH=1500000000"]);
    assert_eq!(one["containerimage.config.digest"], id());
    let created = &one["containerimage.descriptor"]["annotations"]["org.opencontainers.image.created"];
    assert_eq!(created, "2017-07-14T02:40:00Z");
    assert_eq!(one["image.name"], "docker.io/library/demo:1");
    let warning = &one["buildx.build.warnings"][0];
    assert_eq!(warning["range"][0]["start"]["line"], 1);
    assert_eq!(warning["level"], 1);
    // Of several platforms the index is what has a name, and it has no config.
    let several = build(&["--platform=linux/amd64,linux/arm64"]);
    assert!(several.get("containerimage.config.digest").is_none(), "{several}");
    assert_eq!(several["containerimage.digest"], id());
}
