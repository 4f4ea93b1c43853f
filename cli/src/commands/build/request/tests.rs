#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use clap::Parser;
use cooper_builder::request::{ContextSource, DockerfileSource, SecretSource};

use super::*;
use crate::args::{Cli, Command};
use crate::failure::Kind;

fn environment(key: &str) -> Option<String> {
    match key {
        "FROM_ENV" => Some("env value".to_owned()),
        "HTTP_PROXY" => Some("http://proxy".to_owned()),
        _ => None,
    }
}

fn prepare_with(arguments: &[&str], stdin: &[u8], environment: Environment<'_>) -> Result<Prepared, Failure> {
    let all = ["cooper", "build"].iter().chain(arguments);
    let cli = Cli::try_parse_from(all).map_err(|e| Failure::usage(e.to_string()))?;
    let Command::Build(build) = cli.command else { panic!("another command") };
    build.prepare(environment, &mut &*stdin)
}

fn prepare(arguments: &[&str]) -> Result<Prepared, Failure> {
    prepare_with(arguments, b"", &environment)
}

fn strings(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

#[test]
fn everyday_flags_reach_the_request() {
    let got = prepare(&[
        "-f",
        "docker/Dockerfile",
        "-t",
        "a:1",
        "--tag=b",
        "--target",
        "build",
        "--build-arg",
        "A=1",
        "--build-arg",
        "FROM_ENV",
        "--build-arg=UNSET",
        "--build-context",
        "busybox=oci-layout:///x:latest",
        "--secret",
        "id=s,src=/file",
        "--label",
        "l=v",
        "--platform",
        "linux/amd64,linux/arm64",
        "--platform",
        "linux/amd64",
        "--no-cache-filter",
        "a,b",
        "--no-cache-filter=c",
        "--pull",
        "--network",
        "host",
        "--add-host",
        "h:1.2.3.4,i=::1",
        "--shm-size",
        "3m",
        "--ulimit",
        "nofile=1:2",
        "--allow",
        "security.insecure",
        "--strict",
        ".",
    ])
    .unwrap();
    let request = got.request;
    assert_eq!(request.context, ContextSource::Directory(PathBuf::from(".")));
    assert_eq!(request.dockerfile, Some(DockerfileSource::Path("docker/Dockerfile".into())));
    assert_eq!(request.tags, ["a:1", "b"]);
    assert_eq!(request.target.as_deref(), Some("build"));
    assert_eq!(strings(&request.build_args), [("A", "1"), ("FROM_ENV", "env value")]);
    assert_eq!(strings(&request.build_contexts), [("busybox", "oci-layout:///x:latest")]);
    assert_eq!(request.secrets["s"], SecretSource::File("/file".into()));
    assert_eq!(strings(&request.labels), [("l", "v")]);
    let platforms: Vec<_> = request.platforms.iter().map(ToString::to_string).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(request.no_cache, NoCache::Stages(vec!["a".into(), "b".into(), "c".into()]));
    assert!(request.pull && request.strict && request.allow_insecure && request.allow_network_host);
    assert_eq!(request.network, Some(NetworkMode::Host));
    assert_eq!(strings(&request.extra_hosts), [("h", "1.2.3.4"), ("i", "::1")]);
    assert_eq!(request.shm_size_bytes, Some(3 << 20));
    assert_eq!(request.ulimits, [("nofile".to_owned(), 1, 2)]);
    assert_eq!(request.outputs[0].kind, OutputKind::Image);
}

#[test]
fn an_empty_command_line_asks_for_nothing() {
    let got = prepare(&["."]).unwrap();
    assert!(got.request.build_args.is_empty(), "proxy variables of our environment stay out");
    assert_eq!(got.request.no_cache, NoCache::Never);
    assert!(!got.request.pull && !got.request.allow_insecure && !got.request.allow_network_host);
    assert!(!got.stdout_taken);
}

#[test]
fn the_last_of_equal_flags_counts_and_truth_values_are_read() {
    let got =
        prepare(&["--target", "a", "--target=b", "--pull", "--pull=false", "--no-cache=1", "."]).unwrap();
    assert_eq!(got.request.target.as_deref(), Some("b"));
    assert!(!got.request.pull);
    assert_eq!(got.request.no_cache, NoCache::Always);
}

#[test]
fn lists_survive_repetition() {
    let got = prepare(&["-t", "a", "-t", "b", "--label", "x=1", "-t", "c", "."]).unwrap();
    assert_eq!(got.request.tags, ["a", "b", "c"]);
}

#[test]
fn standard_input_is_a_dockerfile() {
    let got = prepare_with(&["-"], b"FROM scratch", &environment).unwrap();
    assert_eq!(got.request.context, ContextSource::Empty);
    assert_eq!(got.request.dockerfile, Some(DockerfileSource::Text(b"FROM scratch".to_vec())));
    let got = prepare_with(&["-f-", "."], b"FROM scratch", &environment).unwrap();
    assert_eq!(got.request.dockerfile, Some(DockerfileSource::Text(b"FROM scratch".to_vec())));
}

#[test]
fn the_default_platform_comes_from_the_environment() {
    let environment = |key: &str| (key == "DOCKER_DEFAULT_PLATFORM").then(|| "linux/arm64".to_owned());
    let got = prepare_with(&["."], b"", &environment).unwrap();
    assert_eq!(got.request.platforms[0].to_string(), "linux/arm64");
    let got = prepare_with(&["--platform=local", "."], b"", &environment).unwrap();
    assert_eq!(got.request.platforms, [Platform::host()]);
}

#[test]
fn quiet_wins_over_progress() {
    assert_eq!(prepare(&["-q", "--progress", "plain", "."]).unwrap().progress, Mode::Quiet);
    assert_eq!(prepare(&["--progress", "rawjson", "."]).unwrap().progress, Mode::Rawjson);
}

#[test]
fn a_tar_on_standard_output_is_noticed() {
    for output in ["-", "type=oci", "type=docker,dest=-"] {
        assert!(prepare(&["-o", output, "."]).unwrap().stdout_taken, "{output}");
    }
    assert!(!prepare(&["-o", "type=docker", "."]).unwrap().stdout_taken);
}

#[test]
fn flags_that_do_nothing_are_refused_by_name() {
    let flags: &[&[&str]] = &[
        &["--sbom", "true"],
        &["--sbom=generator=x"],
        &["--attest", "type=sbom"],
        &["--provenance=mode=max"],
        &["--annotation", "a=b"],
        &["--cache-from", "type=gha"],
        &["--cache-to=type=gha"],
        &["--builder", "b"],
        &["--cgroup-parent", "c"],
        &["--resource", "memory=1g"],
        &["--policy", "x"],
        &["--isolation", "hyperv"],
        &["--squash"],
        &["-m", "1g"],
        &["--cpuset-cpus", "0"],
    ];
    for flag in flags {
        let mut arguments = flag.to_vec();
        arguments.push(".");
        let failure = prepare(&arguments).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{flag:?}");
        assert!(failure.message.ends_with(" is not supported yet"), "{flag:?}: {}", failure.message);
        let name = flag[0].split('=').next().unwrap();
        assert!(name == "-m" || failure.message.starts_with(name), "{flag:?}: {}", failure.message);
    }
}

#[test]
fn what_is_so_anyway_may_be_asked_for() {
    let flags = [
        "--provenance=false",
        "--sbom=false",
        "--rm",
        "--force-rm",
        "--call=build",
        "--attest=type=sbom,disabled=true",
    ];
    for flag in flags {
        assert!(prepare(&[flag, "."]).is_ok(), "{flag}");
    }
}

#[test]
fn wrong_values_are_usage_errors() {
    let table: &[(&[&str], &str)] = &[
        (&["--push"], "tag is needed when pushing to registry"),
        (&["--no-cache", "--no-cache-filter", "x"], "cannot combine"),
        (&["--network", "bridge"], "--network"),
        (&["--allow", "device"], "--allow device"),
        (&["--platform", "a/b/c/d"], "--platform"),
        (&["--shm-size", "x"], "--shm-size"),
        (&["--progress", "fancy"], "fancy"),
        (&["--push=maybe"], "maybe"),
        (&["--no-such-flag"], "--no-such-flag"),
    ];
    for (arguments, want) in table {
        let mut arguments = arguments.to_vec();
        arguments.push(".");
        let failure = prepare(&arguments).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{arguments:?}");
        assert!(failure.message.contains(want), "{arguments:?}: {}", failure.message);
    }
}
