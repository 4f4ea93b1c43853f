//! Shows a build's events. One thread takes them from the channel, keeps the table of steps and calls a renderer.
//!
//! Drawing goes to standard error (standard output carries results), never fails a build, and never waits for it.

pub mod plain;
pub mod quiet;
pub mod rawjson;
mod spool;
pub mod steps;
pub mod text;
pub mod tty;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use cooper_builder::event::{Event, EventSender, StepNumber};
use cooper_frontend::ast::Span;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::failure::{Failure, Kind};
use crate::signals::Interrupts;
use spool::Spool;
use steps::{Line, Status, Steps};

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// `tty` if standard error is a terminal, otherwise `plain`.
    Auto,
    /// No progress.
    None,
    /// Lines, as they come.
    Plain,
    /// No progress; print the image ID.
    Quiet,
    /// One JSON object for each event.
    Rawjson,
    /// A live tree.
    Tty,
}

impl Mode {
    /// Decides `auto`, and refuses `tty` where there is none.
    pub fn resolve(self) -> Result<Mode, Failure> {
        let terminal = std::io::stderr().is_terminal();
        match self {
            Mode::Auto if terminal && std::env::var_os("TERM").is_none_or(|t| t != "dumb") => Ok(Mode::Tty),
            Mode::Auto => Ok(Mode::Plain),
            Mode::Tty if !terminal => {
                Err(Failure::usage("--progress=tty needs a terminal on standard error; use plain"))
            }
            other => Ok(other),
        }
    }

    /// A renderer of this (resolved) mode.
    pub fn renderer(self) -> Box<dyn Renderer> {
        let colour = console::colors_enabled_stderr();
        match self {
            Mode::Auto | Mode::Plain => Box::new(plain::Plain::new(Box::new(std::io::stderr()), colour)),
            Mode::Tty => Box::new(tty::Tty::new(colour)),
            Mode::Rawjson => Box::new(rawjson::RawJson::new(Box::new(std::io::stderr()))),
            Mode::Quiet | Mode::None => Box::new(quiet::Quiet),
        }
    }
}

/// One way of showing progress.
pub trait Renderer: Send {
    /// An event, already taken into `steps`, and the lines of output that it completed.
    fn event(&mut self, event: &Event, lines: &[Line], steps: &Steps, now: Instant);

    /// What was shown must be seen now: no more events wait.
    fn flush(&mut self) {}

    /// Time has passed.
    fn tick(&mut self, _steps: &Steps, _now: Instant) {}

    /// The user asked to stop.
    fn interrupted(&mut self) {}

    /// No more events will come. `ended` are steps that still ran, `rest` is output of theirs that did not end in a line
    /// break.
    fn finish(&mut self, rest: &[Line], ended: &[StepNumber], steps: &Steps, now: Instant);

    /// Whether every line of output is shown as it comes, so that nothing need be kept of it.
    fn shows_all_output(&self) -> bool;

    /// Whether the end of a step's output is the last thing that a reader sees.
    fn has_shown(&self, step: StepNumber, steps: &Steps) -> bool;
}

/// A remark, as the event had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Rule name or kind.
    pub rule: String,
    /// One line.
    pub message: String,
    /// Place in the Dockerfile.
    pub span: Option<Span>,
}

/// What remains when the build is over.
pub struct Report {
    /// The steps as they ended.
    pub steps: Steps,
    /// Remarks, each once.
    pub warnings: Vec<Warning>,
    renderer: Box<dyn Renderer>,
    spool: Spool,
}

/// The end of a failed step's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedOutput {
    /// The step's name.
    pub name: String,
    /// Its last lines, as bytes.
    pub lines: Vec<Vec<u8>>,
    /// Number of lines before those.
    pub omitted: u64,
    /// A file with all of it, if lines were left out.
    pub file: Option<PathBuf>,
}

impl Report {
    /// Output that must still be shown when `step` (or, if unknown, the first step that failed) ended the build.
    pub fn failed_output(&mut self, step: Option<StepNumber>) -> Option<FailedOutput> {
        let failed = |number: &StepNumber| {
            self.steps.get(*number).is_some_and(|s| matches!(s.status, Status::Failed(..)))
        };
        let number = step.or_else(|| self.steps.iter().map(|(n, _)| n).find(failed))?;
        if self.renderer.has_shown(number, &self.steps) {
            return None;
        }
        let step = self.steps.get(number)?;
        if step.lines == 0 {
            return None;
        }
        let omitted = step.lines - step.tail.len() as u64;
        Some(FailedOutput {
            name: step.name.clone(),
            lines: step.tail.iter().cloned().collect(),
            omitted,
            file: if omitted > 0 { self.spool.keep(number) } else { None },
        })
    }
}

/// So many events are taken at once if they wait.
const BATCH: usize = 64;

/// The thread that draws.
pub struct Drawing {
    thread: JoinHandle<Report>,
    interrupted: Arc<AtomicBool>,
}

impl Drawing {
    /// Shows that the build is being cancelled.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    /// Waits for the last event to be drawn.
    pub fn join(self) -> Result<Report, Failure> {
        self.thread.join().map_err(|_| Failure::new(Kind::Internal, "the progress display panicked"))
    }
}

/// Starts the thread that draws; it ends when all senders are gone.
pub fn start(
    mut renderer: Box<dyn Renderer>,
    mut events: UnboundedReceiver<Event>,
) -> std::io::Result<Drawing> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
        let mut steps = Steps::default();
        let mut warnings = Vec::new();
        let mut spool = Spool::default();
        runtime.block_on(async {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut batch = Vec::with_capacity(BATCH);
            loop {
                tokio::select! {
                    count = events.recv_many(&mut batch, BATCH) => {
                        if count == 0 {
                            break;
                        }
                        for event in batch.drain(..) {
                            take(&event, &mut steps, &mut warnings, &mut spool, renderer.as_mut());
                        }
                        if events.is_empty() {
                            renderer.flush();
                        }
                    }
                    _ = ticks.tick() => {
                        if flag.swap(false, Ordering::Relaxed) {
                            renderer.interrupted();
                        }
                        renderer.tick(&steps, Instant::now());
                    }
                }
            }
        });
        let (rest, ended) = steps.close();
        renderer.finish(&rest, &ended, &steps, Instant::now());
        Report { steps, warnings, renderer, spool }
    })?;
    Ok(Drawing { thread, interrupted })
}

/// Runs a transfer with progress. Ctrl-C ends it at once: what was received whole stays, nothing else does.
pub async fn watched<T>(
    quiet: bool,
    work: impl AsyncFnOnce(EventSender) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let internal = |e: std::io::Error| Failure::new(Kind::Internal, format!("cannot start: {e}"));
    let mode = if quiet { Mode::Quiet } else { Mode::Auto.resolve()? };
    let mut interrupts = Interrupts::new().map_err(internal)?;
    let (events, receiver) = EventSender::channel();
    let drawing = start(mode.renderer(), receiver).map_err(internal)?;
    let result = tokio::select! {
        result = work(events) => result,
        () = interrupts.next() => Err(Failure::new(Kind::Cancelled, "cancelled")),
    };
    drawing.join()?;
    result
}

fn take(
    event: &Event,
    steps: &mut Steps,
    warnings: &mut Vec<Warning>,
    spool: &mut Spool,
    renderer: &mut dyn Renderer,
) {
    let now = Instant::now();
    let lines = steps.apply(event, now);
    match event {
        Event::StepOutput { step, bytes, .. } if !renderer.shows_all_output() => spool.write(*step, bytes),
        Event::StepFinished { step, .. } => spool.forget(*step),
        Event::Warning { rule, message, span } => {
            let warning = Warning { rule: rule.clone(), message: message.clone(), span: *span };
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        _ => {}
    }
    renderer.event(event, &lines, steps, now);
}
