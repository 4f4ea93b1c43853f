//! Cooper's own checks of RUN steps: an ARG that changes keys for nothing, `apt-get update` alone.
//!
//! Both keep silent where a command is not known: a program that nobody can look into may well read the variable.

use super::secrets::looks_secret;
use super::{Linter, shell};
use crate::ast::{ArgDefinition, Command, Dockerfile, Instruction, Run, Source, Stage};

/// Checks the steps of a stage that is built. `given` tells which ARGs have a value from the command line.
pub(super) fn stage(linter: &mut Linter<'_>, file: &Dockerfile, stage: &Stage, given: &dyn Fn(&str) -> bool) {
    for (at, Instruction { source, command }) in stage.instructions.iter().enumerate() {
        match command {
            Command::Arg(arg) => {
                let later = &stage.instructions[at + 1..];
                for definition in &arg.definitions {
                    busting_arg(linter, file, definition, source, later, given);
                }
            }
            Command::Run(run) if is_update_alone(run, source) => {
                let message = "apt-get update alone in a RUN is cached, and later installs then work with old package \
                               lists: put both into one RUN";
                linter.report("CooperAptUpdateAlone", &source.comments, source.span, message);
            }
            _ => {}
        }
    }
}

fn busting_arg(
    linter: &mut Linter<'_>,
    file: &Dockerfile,
    definition: &ArgDefinition,
    source: &Source,
    later: &[Instruction],
    given: &dyn Fn(&str) -> bool,
) {
    let name = definition.name.as_str();
    let has_default = definition.default.is_some() || has_global_default(file, name);
    let changes = given(name) || !has_default || is_volatile(name);
    if !changes || is_read_unseen(name) {
        return;
    }
    let mut lines: Vec<String> = Vec::new();
    let mut is_used = false;
    for Instruction { source, command } in later {
        if mentions(&source.text_with_heredocs(), name) {
            is_used = true;
            break;
        }
        let Command::Run(run) = command else { continue };
        if !is_understood(run, source) {
            // It may read the variable: nothing below tells more.
            is_used = true;
            break;
        }
        lines.push(source.span.start_line.to_string());
    }
    if lines.is_empty() {
        return;
    }
    let (noun, verb) = if lines.len() == 1 { ("line", "does") } else { ("lines", "do") };
    let advice = if is_used { "declare it below" } else { "no later step of the stage does, either" };
    let message = format!(
        "ARG \"{name}\" is part of the cache key of RUN on {noun} {}, which {verb} not use it: {advice}",
        lines.join(", ")
    );
    linter.report("CooperArgBustsCache", &source.comments, source.span, message);
}

fn has_global_default(file: &Dockerfile, name: &str) -> bool {
    file.global_args.iter().any(|instruction| match &instruction.command {
        Command::Arg(arg) => {
            arg.definitions.iter().any(|other| other.name.as_str() == name && other.default.is_some())
        }
        _ => false,
    })
}

/// Names of things that differ in each build.
fn is_volatile(name: &str) -> bool {
    const WORDS: [&str; 9] = [
        "sha",
        "commit",
        "revision",
        "timestamp",
        "builddate",
        "buildtime",
        "buildid",
        "buildnumber",
        "date",
    ];
    name.split('_').any(|part| WORDS.iter().any(|word| part.eq_ignore_ascii_case(word)))
}

/// Names that programs take from the environment without being told, and those that are there to change the key.
fn is_read_unseen(name: &str) -> bool {
    const STARTS: [&str; 30] = [
        "ANDROID",
        "APT",
        "BUILD",
        "BUNDLE",
        "CARGO",
        "CC",
        "COMPOSER",
        "CONDA",
        "CXX",
        "DEB",
        "DOTNET",
        "ELECTRON",
        "GEM",
        "GIT_CONFIG",
        "GIT_SSH",
        "GO",
        "GRADLE",
        "JAVA",
        "LANG",
        "LC_",
        "MAVEN",
        "NODE",
        "NPM",
        "NUGET",
        "PIP",
        "PYTHON",
        "RUST",
        "SSL",
        "UV_",
        "YARN",
    ];
    const PARTS: [&str; 8] = ["CACHE", "BUST", "PROXY", "FLAGS", "MIRROR", "INDEX", "REGISTRY", "LICENSE"];
    const WHOLE: [&str; 9] =
        ["CI", "HOME", "PATH", "TZ", "TERM", "USER", "SOURCE_DATE_EPOCH", "PREFIX", "DESTDIR"];
    let upper = name.to_ascii_uppercase();
    let predefined =
        ["TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT", "TARGETSTAGE", "TARGETOSVERSION"];
    // BUILD_DATE and its like are nobody's setting; BUILDPLATFORM and its like are predefined.
    let starts = STARTS.iter().any(|start| upper.starts_with(start)) && !upper.starts_with("BUILD_");
    starts
        || PARTS.iter().any(|part| upper.contains(part))
        || WHOLE.contains(&upper.as_str())
        || predefined.contains(&upper.as_str())
        || looks_secret(name)
}

/// Whether a text has the name as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = text.as_bytes();
    text.match_indices(name).any(|(at, _)| {
        !is_part(at.checked_sub(1).and_then(|before| bytes.get(before)))
            && !is_part(bytes.get(at + name.len()))
    })
}

/// Whether all commands are programs that do not look at variables of the user's.
fn is_understood(run: &Run, source: &Source) -> bool {
    const PLAIN: [&str; 50] = [
        "addgroup",
        "adduser",
        "apk",
        "apt",
        "apt-get",
        "apt-mark",
        "cat",
        "cd",
        "chgrp",
        "chmod",
        "chown",
        "cp",
        "curl",
        "dnf",
        "dpkg",
        "echo",
        "false",
        "find",
        "getent",
        "git",
        "gpg",
        "grep",
        "groupadd",
        "gunzip",
        "install",
        "ln",
        "ls",
        "locale-gen",
        "microdnf",
        "mkdir",
        "mv",
        "passwd",
        "pwd",
        "rm",
        "rmdir",
        "sed",
        "set",
        "sha256sum",
        "tar",
        "test",
        "touch",
        "true",
        "unzip",
        "update-ca-certificates",
        "useradd",
        "usermod",
        "wget",
        "which",
        "yum",
        "zypper",
    ];
    let commands = shell::commands(run, source);
    !commands.is_empty()
        && commands.iter().all(|command| {
            let program = command[0].rsplit('/').next().unwrap_or_default();
            let hides_more =
                command.iter().any(|word| word.contains("$(") || word.contains('`') || word == "-exec");
            !hides_more && (PLAIN.contains(&program) || installs(program, &command[1..]))
        })
}

/// Package managers of languages, where they only fetch.
fn installs(program: &str, arguments: &[String]) -> bool {
    let first = arguments.iter().find(|word| !word.starts_with('-')).map(String::as_str);
    match program {
        "npm" | "pnpm" | "bundle" | "composer" => matches!(first, Some("ci" | "install" | "i")),
        "pip" | "pip3" | "gem" | "yarn" => first == Some("install"),
        "go" => first == Some("mod"),
        "cargo" => first == Some("fetch"),
        _ => false,
    }
}

/// Whether a RUN does nothing but update package lists, into the layer.
fn is_update_alone(run: &Run, source: &Source) -> bool {
    let commands = shell::commands(run, source);
    let is_update = |command: &Vec<String>| {
        matches!(command[0].as_str(), "apt-get" | "apt")
            && command[1..].iter().find(|word| !word.starts_with('-')).is_some_and(|word| word == "update")
    };
    let is_nothing = |command: &Vec<String>| matches!(command[0].as_str(), "set" | "true" | "echo" | ":");
    let keeps_lists = run.mounts.iter().any(|mount| mount.value.as_str().contains("/var/lib/apt"));
    commands.iter().any(is_update)
        && commands.iter().all(|command| is_update(command) || is_nothing(command))
        && !keeps_lists
}
