//! `cooper ci github`: what action.yml runs. Inputs come as `INPUT_*` variables.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use cooper_builder::CheckReport;
use cooper_builder::request::BuildOutcome;

use super::build::call::{self, Call, Method};
use super::build::{self, BuildArgs, Finished};
use crate::args::{Cli, Command, Global};
use crate::backend::Session;
use crate::failure::{Failure, Kind};
use crate::github::inputs::{self, Inputs};
use crate::github::{log, outputs, summary, workflow};
use crate::ui;

/// Flags of `ci`.
#[derive(Debug, Args)]
pub struct CiArgs {
    #[command(subcommand)]
    service: Service,
}

#[derive(Debug, Subcommand)]
enum Service {
    /// Build in a GitHub Actions step; inputs are read from INPUT_* variables
    Github,
}

/// Runs `cooper ci`.
pub fn run(args: &CiArgs, global: &Global) -> Result<(), Failure> {
    match args.service {
        Service::Github => github(global),
    }
}

fn github(global: &Global) -> Result<(), Failure> {
    let environment = |key: &str| std::env::var(key).ok();
    let inputs = inputs::read(&environment).map_err(Failure::usage)?;
    // Before anything else can be printed.
    for secret in &inputs.secrets {
        for line in workflow::masks(&secret.value) {
            ui::print(&format!("{line}\n"))?;
        }
    }
    let files = secret_files(&inputs)?;
    let args = flags(&inputs, &files)?;
    let prepared = args.prepare(&environment, &mut std::io::empty())?;
    if prepared.stdout_taken {
        return Err(Failure::usage("input outputs: standard output is the log; give a dest"));
    }
    let token = workflow::token()
        .map_err(|e| Failure::new(Kind::Config, format!("cannot read /dev/urandom: {e}")))?;
    let request = prepared.request;
    if let Some(call) = prepared.call {
        return crate::with_store(global, async move |session: Session| {
            if call.method == Method::Check {
                check(&args, call, Box::pin(session.check(request)).await?)
            } else {
                Box::pin(call::run(call, request, &session)).await
            }
        });
    }
    let renderer = Box::new(log::Log::new(Box::new(std::io::stdout()), token.clone()));
    crate::with_store(global, async move |session: Session| {
        let mut finished = build::drive(&session, request, renderer).await?;
        build::tell(&mut finished);
        report(&args, &finished, &token)?;
        let outcome = finished.result?;
        ui::print(&format!("{} {}\n", outcome.image_id(), outcome.names.join(" ")))
    })
}

/// Findings as annotations, and as text in the log.
fn check(args: &BuildArgs, call: Call, report: CheckReport) -> Result<(), Failure> {
    let file = place_of(args);
    for finding in &report.findings {
        let place = finding.span.map(|span| (file.as_str(), span));
        let level = workflow::Level::Warning;
        ui::print(&format!("{}\n", workflow::annotation(level, &finding.rule, &finding.message, place)))?;
    }
    if let Some(error) = &report.error {
        let failure = Failure::from(error.clone());
        ui::print(&format!("{}\n", error_annotation("Cooper check failed", &failure, &file)))?;
    }
    call::answer(call, report)
}

/// Secrets given by value, in files without a name: nobody else can open them, and they are gone however we end.
fn secret_files(inputs: &Inputs) -> Result<Vec<(String, File)>, Failure> {
    let broken = |e: std::io::Error| Failure::new(Kind::Config, format!("cannot keep a secret: {e}"));
    let mut files = Vec::new();
    for secret in &inputs.secrets {
        let mut file = tempfile::tempfile().map_err(broken)?;
        file.write_all(secret.value.as_bytes()).map_err(broken)?;
        files.push((secret.id.clone(), file));
    }
    Ok(files)
}

/// A path that leads this process to an open file.
fn path_of(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn flags(inputs: &Inputs, files: &[(String, File)]) -> Result<BuildArgs, Failure> {
    let secrets = files.iter().map(|(id, file)| inputs::secret_flag(id, "src", &path_of(file)));
    let words = ["cooper", "build"].map(str::to_owned).into_iter().chain(secrets).chain(inputs.words.clone());
    let cli = Cli::try_parse_from(words).map_err(|e| {
        let text = e.to_string();
        Failure::usage(text.trim_start_matches("error: ").lines().next().unwrap_or_default())
    })?;
    match cli.command {
        Command::Build(args) => Ok(*args),
        _ => Err(Failure::new(Kind::Internal, "inputs did not become a build")),
    }
}

/// Annotations, outputs and the summary page.
fn report(args: &BuildArgs, finished: &Finished, token: &str) -> Result<(), Failure> {
    let environment = |key: &str| std::env::var_os(key).filter(|v| !v.is_empty()).map(PathBuf::from);
    let file = place_of(args);
    for line in annotations(finished, &file) {
        ui::print(&format!("{line}\n"))?;
    }
    let failure = finished.result.as_ref().err();
    let image = finished.result.as_ref().ok().map(|o| o.image_id().to_string());
    if let Some(path) = environment("GITHUB_STEP_SUMMARY") {
        write(&path, &summary::page(&finished.report.steps, image.as_deref(), failure))?;
    }
    if let (Some(path), Ok(outcome)) = (environment("GITHUB_OUTPUT"), &finished.result) {
        write(&path, &entries(outcome, token))?;
    }
    Ok(())
}

/// The Dockerfile as annotations name it.
fn place_of(args: &BuildArgs) -> String {
    let workspace = std::env::var_os("GITHUB_WORKSPACE").filter(|v| !v.is_empty()).map(PathBuf::from);
    let current = std::env::current_dir().unwrap_or_default();
    workflow::relative(&dockerfile(args), workspace.as_deref(), &current)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    outputs::append(path, text).map_err(|e| Failure::io("cannot write", path, &e))
}

fn dockerfile(args: &BuildArgs) -> PathBuf {
    match &args.file {
        Some(file) => PathBuf::from(file),
        None => Path::new(args.context.as_deref().unwrap_or(".")).join("Dockerfile"),
    }
}

fn annotations(finished: &Finished, file: &str) -> Vec<String> {
    let mut lines: Vec<_> = finished
        .report
        .warnings
        .iter()
        .map(|w| {
            workflow::annotation(
                workflow::Level::Warning,
                &w.rule,
                &w.message,
                w.span.map(|span| (file, span)),
            )
        })
        .collect();
    if let Err(failure) = &finished.result {
        lines.push(error_annotation("Cooper build failed", failure, file));
    }
    lines
}

fn error_annotation(title: &str, failure: &Failure, file: &str) -> String {
    let message = match &failure.hint {
        Some(hint) => format!("{}\nhint: {hint}", failure.message),
        None => failure.message.clone(),
    };
    let place = failure.place.as_ref().map(|place| (file, place.span));
    workflow::annotation(workflow::Level::Error, title, &message, place)
}

fn entries(outcome: &BuildOutcome, token: &str) -> String {
    let digest = outcome.descriptor.as_ref().map(|d| d.digest.to_string()).unwrap_or_default();
    let metadata = format!("{:#}", build::metadata(outcome));
    outputs::entry("imageid", outcome.image_id().as_str(), token)
        + &outputs::entry("digest", &digest, token)
        + &outputs::entry("metadata", &metadata, token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::github::inputs::Secret;

    #[test]
    fn inputs_become_build_arguments() {
        let inputs = Inputs {
            words: ["--tag=a", "--build-arg=X=--push", "--", "-dir"].map(str::to_owned).to_vec(),
            secrets: vec![Secret { id: "s".into(), value: "hunter2".into() }],
        };
        let files = secret_files(&inputs).unwrap();
        let args = flags(&inputs, &files).unwrap();
        assert_eq!(args.tags, ["a"]);
        assert_eq!(args.build_args, ["X=--push"]);
        assert_eq!(args.context.as_deref(), Some("-dir"));
        assert!(!args.push, "a value cannot pose as a flag");
        let path = path_of(&files[0].1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hunter2");
        assert_eq!(args.secrets, [format!("id=s,src={path}")]);
    }

    #[test]
    fn broken_inputs_are_usage_errors() {
        let inputs = Inputs { words: vec!["--network=a".into(), "--oops=1".into()], secrets: Vec::new() };
        let failure = flags(&inputs, &[]).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.message.contains("--oops"), "{}", failure.message);
    }

    #[test]
    fn the_default_dockerfile_is_in_the_context() {
        let args = |words: &[&str]| {
            let inputs =
                Inputs { words: words.iter().map(|w| (*w).to_owned()).collect(), secrets: Vec::new() };
            flags(&inputs, &[]).unwrap()
        };
        assert_eq!(dockerfile(&args(&["app"])), Path::new("app/Dockerfile"));
        assert_eq!(dockerfile(&args(&["--file=x/D", "app"])), Path::new("x/D"));
    }
}
