//! Runs a build: builder, renderer and signals together; then tells how it ended.

use cooper_builder::event::EventSender;
use cooper_builder::request::{BuildOutcome, BuildRequest};

use super::request::Prepared;
use super::{BuildArgs, call, results};
use crate::backend::{CancelToken, Session};
use crate::failure::{Failure, Kind};
use crate::progress::text::{self, Colour};
use crate::progress::{self, FailedOutput, Mode, Renderer, Report, Warning};
use crate::signals::Interrupts;
use crate::{excerpt, ui};

/// A build that has ended.
pub struct Finished {
    /// The result.
    pub result: Result<BuildOutcome, Failure>,
    /// The steps and remarks.
    pub report: Report,
}

/// Runs `cooper build`.
pub async fn run(args: &BuildArgs, prepared: Prepared, session: Session) -> Result<(), Failure> {
    if let Some(call) = prepared.call {
        return Box::pin(call::run(call, prepared.request, &session)).await;
    }
    let mode = prepared.progress.resolve()?;
    results::clear(args)?;
    let mut finished = drive(&session, prepared.request, mode.renderer()).await?;
    let silent = matches!(mode, Mode::Quiet | Mode::None | Mode::Rawjson);
    if !silent {
        for line in remarks(&finished.report.warnings) {
            ui::note(&line);
        }
    }
    tell(&mut finished);
    let outcome = finished.result?;
    results::write(args, &outcome, &finished.report.warnings, &|key| std::env::var(key).ok())?;
    if mode == Mode::Quiet && !prepared.stdout_taken {
        ui::print(&format!("{}\n", outcome.image_id()))?;
    } else if !silent {
        let names =
            if outcome.names.is_empty() { String::new() } else { format!(" {}", outcome.names.join(" ")) };
        ui::note(&format!("{}{names}", outcome.image_id()));
    }
    Ok(())
}

/// Builds, draws, and listens for Ctrl-C: the first cancels, the second ends the process at once (the kernel then ends
/// the steps).
pub async fn drive(
    session: &Session,
    request: BuildRequest,
    renderer: Box<dyn Renderer>,
) -> Result<Finished, Failure> {
    let internal = |e: std::io::Error| Failure::new(Kind::Internal, format!("cannot start: {e}"));
    let mut interrupts = Interrupts::new().map_err(internal)?;
    let (events, receiver) = EventSender::channel();
    let drawing = progress::start(renderer, receiver).map_err(internal)?;
    let cancel = CancelToken::new();
    let result = {
        let build = session.build(request, events, cancel.clone());
        tokio::pin!(build);
        loop {
            tokio::select! {
                result = &mut build => break result,
                () = interrupts.next() => {
                    if cancel.is_cancelled() {
                        ui::note("");
                        std::process::exit(i32::from(Kind::Cancelled.code()));
                    }
                    cancel.cancel();
                    drawing.interrupt();
                }
            }
        }
    };
    Ok(Finished { result, report: drawing.join()? })
}

/// Shows what a failed step wrote, if it was not seen yet. The failure itself is told by `main`.
pub fn tell(finished: &mut Finished) {
    let Err(failure) = &finished.result else { return };
    if failure.kind == Kind::Cancelled {
        return;
    }
    if let Some(output) = finished.report.failed_output(failure.step) {
        let colour = if console::colors_enabled_stderr() { Colour::Keep } else { Colour::Strip };
        for line in output_lines(&output, colour) {
            ui::note(&line);
        }
    }
}

/// The end of a failed step's output, as BuildKit frames it.
fn output_lines(output: &FailedOutput, colour: Colour) -> Vec<String> {
    let mut lines = vec!["------".to_owned(), format!(" > {}:", output.name)];
    match &output.file {
        Some(file) => {
            lines.push(format!("[{} earlier lines; all of it: {}]", output.omitted, file.display()));
        }
        None if output.omitted > 0 => lines.push(format!("[{} earlier lines]", output.omitted)),
        None => {}
    }
    lines.extend(output.lines.iter().map(|line| text::clean(line, colour)));
    lines.push("------".to_owned());
    lines
}

/// The remarks of a build.
fn remarks(warnings: &[Warning]) -> Vec<String> {
    let mut lines = Vec::new();
    if !warnings.is_empty() {
        let plural = if warnings.len() == 1 { "" } else { "s" };
        lines.push(format!("{} warning{plural} found:", warnings.len()));
        lines
            .extend(warnings.iter().map(|w| format!(" - {}", excerpt::warning(&w.rule, &w.message, w.span))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use cooper_frontend::ast::Span;

    use super::*;

    #[test]
    fn failed_output_is_framed_and_points_to_the_rest() {
        let mut output = FailedOutput {
            name: "[2/2] RUN make".into(),
            lines: vec![b"one".to_vec(), b"\x1b[31mtwo\xff".to_vec()],
            omitted: 0,
            file: None,
        };
        let framed = ["------", " > [2/2] RUN make:", "one", "two\u{fffd}", "------"];
        assert_eq!(output_lines(&output, Colour::Strip), framed);
        output.omitted = 7;
        output.file = Some("/tmp/x.log".into());
        assert_eq!(output_lines(&output, Colour::Strip)[2], "[7 earlier lines; all of it: /tmp/x.log]");
    }

    #[test]
    fn remarks_name_rule_and_line() {
        let span = Span { start_line: 4, end_line: 4, start: 0, end: 1 };
        let warning = Warning { rule: "UndefinedVar".into(), message: "no FOO".into(), span: Some(span) };
        assert_eq!(remarks(&[warning]), ["1 warning found:", " - UndefinedVar: no FOO (line 4)"]);
        assert!(remarks(&[]).is_empty());
    }
}
