//! What to do about a failed step, where the Dockerfile tells more than the step's own error.

use cooper_frontend::ast::{Command, Dockerfile, Instruction, Run, ShellOrExec, Source, Span, Stage};
use cooper_frontend::graph::PlanWarning;

use crate::error::{BuildError, DockerfileText};

/// Adds advice to the error of a step.
pub(crate) fn advise(
    error: BuildError,
    file: &Dockerfile,
    text: &DockerfileText,
    findings: &[PlanWarning],
) -> BuildError {
    let Some(span) = error.span() else { return error };
    let Some((stage, instruction)) = find(file, span) else { return error };
    let mut advice: Vec<String> = error.advice().map(str::to_owned).into_iter().collect();
    advice.extend(unset_variables(file, stage, instruction, findings));
    match &instruction.command {
        Command::Run(run) => advice.extend(of_command(run, &error.to_string())),
        Command::Copy(_) | Command::Add(_) => advice.extend(outside(text, span, &error.to_string())),
        _ => {}
    }
    match advice.as_slice() {
        [] => error,
        all => {
            let all = all.join("; ");
            error.hint(all)
        }
    }
}

fn find(file: &Dockerfile, span: Span) -> Option<(&Stage, &Instruction)> {
    file.stages.iter().find_map(|stage| {
        let holds = |source: &Source| source.span.start <= span.start && span.end <= source.span.end;
        Some((stage, stage.instructions.iter().find(|instruction| holds(&instruction.source))?))
    })
}

/// Variables that the instruction uses and that its stage does not set.
fn unset_variables(
    file: &Dockerfile,
    stage: &Stage,
    instruction: &Instruction,
    findings: &[PlanWarning],
) -> Option<String> {
    let defines = |instruction: &Instruction, name: &str| match &instruction.command {
        Command::Arg(arg) => arg.definitions.iter().any(|definition| definition.name.as_str() == name),
        Command::Env(env) => env.pairs.iter().any(|pair| pair.name.as_str() == name),
        _ => false,
    };
    let line = &instruction.source.text_with_heredocs();
    let uses = |name: &str| {
        [format!("${name}"), format!("${{{name}")].iter().any(|form| {
            line.match_indices(form.as_str()).any(|(at, _)| {
                !line[at + form.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            })
        })
    };
    // ARGs before the first FROM count in FROM lines only; those of a stage reach the stages built on it.
    let line_of_stages = ancestors(file, stage);
    let is_set = |name: &str| {
        line_of_stages
            .iter()
            .flat_map(|stage| &stage.instructions)
            .any(|instruction| defines(instruction, name))
    };
    let global = file.global_args.iter().find_map(|instruction| match &instruction.command {
        Command::Arg(arg) => {
            let mut names = arg.definitions.iter().map(|definition| definition.name.as_str());
            names.find(|name| uses(name) && !is_set(name))
        }
        _ => None,
    });
    if let Some(name) = global {
        return Some(format!(
            "{name} is declared before the first FROM, and is not set in this stage: repeat `ARG {name}` in it"
        ));
    }
    let finding = findings
        .iter()
        .find(|finding| finding.rule == "UndefinedVar" && finding.span == Some(instruction.source.span))?;
    let name = finding.message.split('\'').nth(1)?;
    Some(format!("{name} is not set here and became empty: declare it with ARG or ENV above"))
}

/// A stage, the stage that it is built on, and so on.
fn ancestors<'a>(file: &'a Dockerfile, stage: &'a Stage) -> Vec<&'a Stage> {
    let mut found = vec![stage];
    while let Some(last) = found.last() {
        let above = file.stages.iter().take_while(|other| other.span.start < last.span.start);
        let base = above.filter(|other| other.name() == Some(last.from.base.as_str())).last();
        match base {
            Some(base) => found.push(base),
            None => break,
        }
    }
    found
}

fn of_command(run: &Run, message: &str) -> Option<String> {
    if let ShellOrExec::Shell(text) = &run.command
        && text.starts_with('[')
        && text.contains('\'')
        && text.trim_end().ends_with(']')
    {
        return Some(
            "the JSON form needs double quotes; with single quotes it is a command for the shell".to_owned(),
        );
    }
    if message.ends_with("exit code: 127") {
        return Some(
            "code 127: a program was not found. Is it installed in this stage? If it is a script: does its first line \
             name an interpreter that the image has, without a Windows line end?"
                .to_owned(),
        );
    }
    if message.ends_with("exit code: 126") {
        return Some(
            "code 126: a file was found but may not be executed: set its mode with COPY --chmod=755, or in the context"
                .to_owned(),
        );
    }
    None
}

/// `..` at the start of a source leads nowhere.
fn outside(text: &DockerfileText, span: Span, message: &str) -> Option<String> {
    let word = text.text.get(span.start..span.end)?.trim_matches('"');
    (message.contains("not found") && word.starts_with("../")).then(|| {
        "files outside of the build context cannot be copied: build with a context above, or add one with \
         --build-context NAME=DIRECTORY and COPY --from=NAME"
            .to_owned()
    })
}
