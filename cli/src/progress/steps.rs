//! What is known of each step while a build runs. Every way of drawing reads this one table.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use cooper_builder::BuildError;
use cooper_builder::event::{Event, StepNumber, StepState, Stream};

use super::text::{LineBuffer, title};

/// So many lines of a step's output are kept for the end.
pub const TAIL_LINES: usize = 100;

/// A whole line that a step wrote, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The step.
    pub step: StepNumber,
    /// The line, without its break.
    pub bytes: Vec<u8>,
}

/// How a step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Not begun.
    Waiting,
    /// At work.
    Running,
    /// Ended well.
    Done(StepState, Duration),
    /// Ended badly.
    Failed(String, Duration),
    /// The user stopped the build, or another step failed first.
    Cancelled,
}

/// Why a step was done again, if that says more than that it is new.
pub fn rebuilt(state: &StepState) -> Option<String> {
    match state {
        StepState::Miss { reason } if reason.starts_with("not ") && reason.ends_with(" before") => None,
        StepState::Miss { reason } if !reason.is_empty() => Some(title(reason)),
        _ => None,
    }
}

/// Something that a step moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Done so far.
    pub current_bytes: u64,
    /// All of it, if known.
    pub total_bytes: Option<u64>,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Name for people, one line.
    pub name: String,
    /// Its stage, if any.
    pub stage: Option<String>,
    /// How it stands.
    pub status: Status,
    /// When it began.
    pub started: Option<Instant>,
    /// Its last lines.
    pub tail: VecDeque<Vec<u8>>,
    /// Number of all its lines.
    pub lines: u64,
    /// What it moves.
    pub items: Vec<Item>,
    streams: [LineBuffer; 2],
}

impl Step {
    fn new(name: &str, stage: Option<String>) -> Self {
        Step {
            name: title(name),
            stage,
            status: Status::Waiting,
            started: None,
            tail: VecDeque::new(),
            lines: 0,
            items: Vec::new(),
            streams: <_>::default(),
        }
    }

    /// Time since it began.
    pub fn elapsed(&self, now: Instant) -> Duration {
        self.started.map(|s| now.saturating_duration_since(s)).unwrap_or_default()
    }

    fn keep(&mut self, lines: &[Line]) {
        self.lines += lines.len() as u64;
        let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        let excess = (self.tail.len() + last.len()).saturating_sub(TAIL_LINES);
        self.tail.drain(..excess);
        self.tail.extend(last.iter().map(|line| line.bytes.clone()));
    }
}

/// All steps of a build, by number.
#[derive(Debug, Default)]
pub struct Steps(BTreeMap<StepNumber, Step>);

impl Steps {
    /// Takes an event in; gives back the lines that it completed, which all belong to one step.
    pub fn apply(&mut self, event: &Event, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        match event {
            Event::StepPlanned { step, name, stage, .. } => {
                self.0.insert(*step, Step::new(name, stage.clone()));
            }
            Event::StepStarted { step } => {
                let entry = self.entry(*step);
                entry.status = Status::Running;
                entry.started = Some(now);
            }
            Event::StepOutput { step, stream, bytes } => {
                let entry = self.entry(*step);
                let index = usize::from(*stream == Stream::Stderr);
                let mut buffer = std::mem::take(&mut entry.streams[index]);
                buffer.push(bytes, |line| lines.push(Line { step: *step, bytes: line.to_vec() }));
                entry.streams[index] = buffer;
            }
            Event::StepProgress { step, item, current_bytes, total_bytes } => {
                let items = &mut self.entry(*step).items;
                let value =
                    Item { name: title(item), current_bytes: *current_bytes, total_bytes: *total_bytes };
                match items.iter_mut().find(|i| i.name == value.name) {
                    Some(old) => *old = value,
                    None => items.push(value),
                }
            }
            Event::StepFinished { step, state, duration } => {
                lines = self.end(*step);
                self.entry(*step).status = Status::Done(state.clone(), *duration);
            }
            Event::StepFailed { step, message } => {
                lines = self.end(*step);
                let entry = self.entry(*step);
                let cancelled = *message == BuildError::cancelled().to_string();
                entry.status = if cancelled {
                    Status::Cancelled
                } else {
                    Status::Failed(message.clone(), entry.elapsed(now))
                };
            }
            _ => {}
        }
        if let Some(first) = lines.first() {
            self.entry(first.step).keep(&lines);
        }
        lines
    }

    /// The build is over: what runs now is cancelled. Gives back the rest of its output, and which steps those are.
    pub fn close(&mut self) -> (Vec<Line>, Vec<StepNumber>) {
        let running: Vec<_> =
            self.0.iter().filter(|(_, s)| s.status == Status::Running).map(|(n, _)| *n).collect();
        let mut rest = Vec::new();
        for number in &running {
            let lines = self.end(*number);
            let entry = self.entry(*number);
            entry.keep(&lines);
            entry.status = Status::Cancelled;
            rest.extend(lines);
        }
        (rest, running)
    }

    /// A step; events about steps that were never planned make one.
    fn entry(&mut self, step: StepNumber) -> &mut Step {
        self.0.entry(step).or_insert_with(|| Step::new(&format!("step {step}"), None))
    }

    fn end(&mut self, step: StepNumber) -> Vec<Line> {
        let mut lines = Vec::new();
        for buffer in &mut self.entry(step).streams {
            buffer.finish(|line| lines.push(Line { step, bytes: line.to_vec() }));
        }
        lines
    }

    /// A step.
    pub fn get(&self, step: StepNumber) -> Option<&Step> {
        self.0.get(&step)
    }

    /// All steps in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (StepNumber, &Step)> {
        self.0.iter().map(|(number, step)| (*number, step))
    }

    /// Numbers of all steps, of finished ones, and of those among them that were cached.
    pub fn counts(&self) -> (usize, usize, usize) {
        let wanted = || self.0.values().filter(|s| !matches!(s.status, Status::Done(StepState::Skipped, _)));
        let done = wanted().filter(|s| matches!(s.status, Status::Done(..))).count();
        let cached = wanted().filter(|s| matches!(s.status, Status::Done(StepState::Hit, _))).count();
        (wanted().count(), done, cached)
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub fn planned(step: StepNumber, name: &str, stage: &str) -> Event {
        Event::StepPlanned { step, name: name.into(), stage: Some(stage.into()), span: None }
    }

    pub fn output(step: StepNumber, text: &str) -> Event {
        Event::StepOutput { step, stream: Stream::Stdout, bytes: text.as_bytes().to_vec().into() }
    }

    pub fn finished(step: StepNumber, state: StepState, milliseconds: u64) -> Event {
        Event::StepFinished { step, state, duration: Duration::from_millis(milliseconds) }
    }

    pub fn failed(step: StepNumber, message: &str) -> Event {
        Event::StepFailed { step, message: message.into() }
    }

    #[test]
    fn a_step_that_was_stopped_did_not_fail() {
        let (mut steps, now) = (Steps::default(), Instant::now());
        steps.apply(&planned(1, "RUN x", "a"), now);
        steps.apply(&failed(1, &BuildError::cancelled().to_string()), now);
        assert_eq!(steps.get(1).unwrap().status, Status::Cancelled);
    }

    #[test]
    fn only_reasons_that_say_something_are_told() {
        let miss = |reason: &str| rebuilt(&StepState::Miss { reason: reason.into() });
        assert_eq!(miss("a.ts content"), Some("a.ts content".into()));
        assert_eq!(miss("not built before"), None);
        assert_eq!(miss(""), None);
        assert_eq!(rebuilt(&StepState::Hit), None);
    }

    pub const MISS: StepState = StepState::Miss { reason: String::new() };

    #[test]
    fn the_last_lines_are_kept_and_all_are_counted() {
        let (mut steps, now) = (Steps::default(), Instant::now());
        steps.apply(&planned(1, "RUN x", "a"), now);
        for n in 0..250 {
            steps.apply(&output(1, &format!("line {n}\n")), now);
        }
        steps.apply(&output(1, "no line break"), now);
        steps.apply(&failed(1, "exit code 1"), now);
        let step = steps.get(1).unwrap();
        assert_eq!(step.lines, 251);
        assert_eq!(step.tail.len(), TAIL_LINES);
        assert_eq!(step.tail.back().unwrap(), b"no line break");
    }

    #[test]
    fn streams_do_not_tear_one_another() {
        let (mut steps, now) = (Steps::default(), Instant::now());
        let error = Event::StepOutput { step: 1, stream: Stream::Stderr, bytes: b"err\n".to_vec().into() };
        assert!(steps.apply(&output(1, "out "), now).is_empty());
        assert_eq!(steps.apply(&error, now)[0].bytes, b"err");
        assert_eq!(steps.apply(&output(1, "put\n"), now)[0].bytes, b"out put");
    }

    #[test]
    fn what_runs_when_the_build_ends_is_cancelled() {
        let (mut steps, now) = (Steps::default(), Instant::now());
        for step in 0..3 {
            steps.apply(&planned(step, "x", "a"), now);
        }
        steps.apply(&Event::StepStarted { step: 0 }, now);
        steps.apply(&Event::StepStarted { step: 1 }, now);
        steps.apply(&output(1, "rest"), now);
        steps.apply(&finished(0, StepState::Hit, 0), now);
        assert_eq!(steps.close(), (vec![Line { step: 1, bytes: b"rest".to_vec() }], vec![1]));
        assert_eq!(steps.get(1).unwrap().status, Status::Cancelled);
        assert_eq!(steps.get(2).unwrap().status, Status::Waiting);
        assert_eq!(steps.counts(), (3, 1, 1));
    }
}
