//! Cooper's own checks that need expanded values: secrets in ARG and ENV, layers doubled by `chown -R`.

use super::dispatch::StageRun;
use crate::ast::{Run, Source};
use crate::lint::{secret_kind, shell};

impl StageRun<'_, '_> {
    /// Warns of a value that is a credential by its look, whatever the name says. The value itself is never shown.
    pub(super) fn warn_secret(&mut self, keyword: &str, name: &str, value: &str) {
        let Some(kind) = secret_kind(value).filter(|_| !self.trigger) else { return };
        let message = format!(
            "The value of {keyword} \"{name}\" looks like {kind} and stays in the image: pass it with RUN \
             --mount=type=secret"
        );
        let span = self.span;
        self.planner.warn("CooperSecretValue", span, message);
    }

    /// Warns of a RUN that changes owner or mode of all that a COPY of this stage made: the files are stored twice.
    pub(super) fn warn_doubled(&mut self, run: &Run, source: &Source) {
        if self.copied.is_empty() || self.trigger {
            return;
        }
        for command in shell::commands(run, source) {
            let Some((program, paths)) = recursive_change(&command) else { continue };
            for path in paths {
                let Some(path) = self.written_path(path) else { continue };
                let Some((_, copy)) = self.copied.iter().find(|(made, _)| is_within(made, &path)) else {
                    continue;
                };
                let message = format!(
                    "{program} -R {path} stores the files of the COPY on line {} a second time: use COPY --{program}",
                    copy.start_line
                );
                let span = self.span;
                self.planner.warn("CooperLayerDoubled", span, message);
                return;
            }
        }
    }

    /// A path of a shell command as an absolute one, if it can be known.
    fn written_path(&self, word: &str) -> Option<String> {
        if word.contains(['*', '?', '[', '`', '~']) || word.contains("$(") {
            return None;
        }
        let expanded = self.planner.expander.word(word, &self.state.env).ok()?;
        let is_known = expanded.unmatched.is_empty() && !expanded.value.is_empty();
        is_known.then(|| self.resolve_path(&expanded.value))
    }
}

/// Whether `path` is `above` or stands below it.
fn is_within(path: &str, above: &str) -> bool {
    above == "/" || path == above || path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// The program and the paths of a `chown -R` or `chmod -R`.
fn recursive_change(command: &[String]) -> Option<(&'static str, Vec<&str>)> {
    let (first, rest) = command.split_first()?;
    let program = match first.as_str() {
        "chown" => "chown",
        "chmod" => "chmod",
        _ => return None,
    };
    let is_flag = |word: &&String| word.starts_with('-');
    let recursive = |word: &String| {
        word == "--recursive" || (word.starts_with('-') && !word.starts_with("--") && word.contains('R'))
    };
    // Symbolic modes such as `-x` are flags to this reading; then there is one path less, which hides a finding only.
    let mut words = rest.iter().filter(|word| !is_flag(word)).map(String::as_str);
    let reference = rest.iter().any(|word| word.starts_with("--reference") || word.starts_with("--from"));
    if !rest.iter().any(recursive) || reference {
        return None;
    }
    words.next()?;
    Some((program, words.collect()))
}
