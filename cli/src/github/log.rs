//! Output of the steps as groups in the log of a GitHub run.
//!
//! Groups cannot nest or overlap, and steps run side by side: one running step writes through, the others wait in
//! memory up to a bound and then on disk, and come as whole groups when it has ended. So no line stands between lines
//! of another step. Inside a group the runner's commands are stopped: what a step writes is only text. A step without
//! output that ends soon is a line, not a group.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, BufWriter, Seek, Write};
use std::time::{Duration, Instant};

use cooper_builder::event::{Event, StepNumber, StepState};

use super::workflow;
use crate::progress::Renderer;
use crate::progress::steps::{Line, Status, Steps, rebuilt};
use crate::progress::text::{self, Colour};

/// Writes groups.
pub struct Log {
    out: BufWriter<Box<dyn Write + Send>>,
    token: String,
    /// The step that writes through.
    live: Option<StepNumber>,
    /// Its group is open.
    is_open: bool,
    /// Output of running or ended steps that wait for their turn.
    waiting: BTreeMap<StepNumber, tempfile::SpooledTempFile>,
    /// Steps that wait for their turn, in the order in which they began.
    queue: VecDeque<StepNumber>,
}

/// So much output of a waiting step stays in memory.
const IN_MEMORY_BYTES: usize = 64 << 10;

/// A step that ends sooner and writes nothing has no group.
const PATIENCE: Duration = Duration::from_secs(1);

impl Log {
    /// Writes to `out`; `token` must be unguessable.
    pub fn new(out: Box<dyn Write + Send>, token: String) -> Self {
        Log {
            out: BufWriter::with_capacity(64 << 10, out),
            token,
            live: None,
            is_open: false,
            waiting: BTreeMap::new(),
            queue: VecDeque::new(),
        }
    }

    /// Nobody may be reading: errors are ignored.
    fn say(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
    }

    fn open(&mut self, step: StepNumber, steps: &Steps) {
        if self.is_open {
            return;
        }
        self.is_open = true;
        let title = steps.get(step).map(|s| s.name.clone()).unwrap_or_default();
        self.say(&workflow::group(&title));
        self.say(&workflow::stop(&self.token.clone()));
        if let Some(mut file) = self.waiting.remove(&step) {
            let _ = file.rewind();
            let mut reader = BufReader::new(file);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                self.say(&text::clean(line.strip_suffix(b"\n").unwrap_or(&line), Colour::Keep));
                line.clear();
            }
        }
    }

    fn close(&mut self, step: StepNumber, steps: &Steps) {
        let Some(entry) = steps.get(step) else { return };
        let ending = ending(&entry.status).unwrap_or_default();
        if !self.is_open {
            self.say(&format!("{ending}  {}", entry.name));
            return;
        }
        self.is_open = false;
        self.say(&workflow::resume(&self.token.clone()));
        self.say(workflow::END_GROUP);
        self.say(&ending);
    }

    fn output(&mut self, lines: &[Line], steps: &Steps) {
        for line in lines {
            if self.live == Some(line.step) {
                self.open(line.step, steps);
                self.say(&text::clean(&line.bytes, Colour::Keep));
                continue;
            }
            let file = self
                .waiting
                .entry(line.step)
                .or_insert_with(|| tempfile::SpooledTempFile::new(IN_MEMORY_BYTES));
            // A full disk must not fail the build; the last lines of a failed step are kept elsewhere.
            let _ = file.write_all(&line.bytes).and_then(|()| file.write_all(b"\n"));
        }
    }

    /// Shows steps in the order in which they began, up to one that still runs, which then writes through.
    fn advance(&mut self, steps: &Steps) {
        while self.live.is_none() {
            let Some(next) = self.queue.pop_front() else { return };
            if self.waiting.contains_key(&next) {
                self.open(next, steps);
            }
            if steps.get(next).is_some_and(|s| s.status == Status::Running) {
                self.live = Some(next);
            } else {
                self.close(next, steps);
            }
        }
    }
}

fn ending(status: &Status) -> Option<String> {
    match status {
        Status::Done(StepState::Hit, _) => Some("CACHED".to_owned()),
        Status::Done(state, time) => {
            let reason = rebuilt(state).map(|r| format!(" (changed: {r})")).unwrap_or_default();
            Some(format!("DONE {}{reason}", text::seconds(*time)))
        }
        Status::Failed(message, _) => Some(format!("ERROR: {}", text::short(message))),
        Status::Cancelled => Some("CANCELED".to_owned()),
        Status::Waiting | Status::Running => None,
    }
}

impl Renderer for Log {
    fn flush(&mut self) {
        let _ = self.out.flush();
    }

    fn event(&mut self, event: &Event, lines: &[Line], steps: &Steps, _now: Instant) {
        self.output(lines, steps);
        match event {
            Event::StepStarted { step } => {
                self.queue.push_back(*step);
                self.advance(steps);
            }
            Event::StepFinished { step, .. } | Event::StepFailed { step, .. } if self.live == Some(*step) => {
                self.close(*step, steps);
                self.live = None;
                self.advance(steps);
            }
            // Never begun, so it has no group. A line in another step's group would look like its output: then only
            // the summary counts it.
            Event::StepFinished { step, state: StepState::Hit, .. }
                if !self.queue.contains(step) && self.live.is_none() =>
            {
                self.close(*step, steps);
            }
            _ => {}
        }
    }

    /// A step that takes its time gets its group before it has written anything.
    fn tick(&mut self, steps: &Steps, now: Instant) {
        if let Some(live) = self.live
            && steps.get(live).is_some_and(|s| s.elapsed(now) >= PATIENCE)
        {
            self.open(live, steps);
            self.flush();
        }
    }

    fn finish(&mut self, rest: &[Line], _ended: &[StepNumber], steps: &Steps, _now: Instant) {
        self.output(rest, steps);
        if let Some(step) = self.live.take() {
            self.close(step, steps);
        }
        self.advance(steps);
        self.flush();
    }

    fn shows_all_output(&self) -> bool {
        true
    }

    /// Groups are folded: a reader of a failed run should not have to open one.
    fn has_shown(&self, _step: StepNumber, _steps: &Steps) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::progress::steps::tests::{MISS, failed, finished, output, planned};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn play(events: &[Event]) -> String {
        let buffer = Buffer::default();
        let mut log = Log::new(Box::new(buffer.clone()), "TOKEN".to_owned());
        let mut steps = Steps::default();
        let now = Instant::now();
        for event in events {
            let lines = steps.apply(event, now);
            log.event(event, &lines, &steps, now);
        }
        let (rest, ended) = steps.close();
        log.finish(&rest, &ended, &steps, now);
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn parallel_steps_never_mix() {
        let text = play(&[
            planned(1, "RUN a", "a"),
            planned(2, "RUN b", "b"),
            planned(3, "RUN c", "c"),
            Event::StepStarted { step: 1 },
            Event::StepStarted { step: 2 },
            output(1, "a1\n"),
            output(2, "b1\n"),
            output(1, "a2\n"),
            finished(2, MISS, 100),
            Event::StepStarted { step: 3 },
            output(3, "c1\n"),
            finished(1, MISS, 200),
            output(3, "c2\n"),
            failed(3, "exit code 1"),
        ]);
        let group = |name: &str, lines: &str, end: &str| {
            format!("::group::RUN {name}\n::stop-commands::TOKEN\n{lines}::TOKEN::\n::endgroup::\n{end}\n")
        };
        let want = group("a", "a1\na2\n", "DONE 0.2s")
            + &group("b", "b1\n", "DONE 0.1s")
            + &group("c", "c1\nc2\n", "ERROR: exit code 1");
        assert_eq!(text, want);
    }

    #[test]
    fn commands_of_a_step_are_only_text() {
        let text = play(&[
            planned(1, "RUN evil\n::add-path::/x", "a"),
            Event::StepStarted { step: 1 },
            output(1, "::error::fake\n##[error]fake\n"),
            finished(1, MISS, 0),
        ]);
        let lines: Vec<_> = text.lines().collect();
        let stop = lines.iter().position(|l| *l == "::stop-commands::TOKEN").unwrap();
        let resume = lines.iter().position(|l| *l == "::TOKEN::").unwrap();
        let fake = lines.iter().position(|l| l.contains("fake")).unwrap();
        assert!(stop < fake && fake < resume);
        assert!(!lines.iter().any(|l| l.starts_with("::add-path")));
    }

    #[test]
    fn what_runs_at_the_end_is_shown_as_cancelled() {
        let text = play(&[
            planned(1, "RUN a", "a"),
            planned(2, "RUN b", "b"),
            Event::StepStarted { step: 1 },
            Event::StepStarted { step: 2 },
            output(2, "partial"),
        ]);
        assert!(text.contains("partial\n::TOKEN::\n::endgroup::\nCANCELED\n"), "{text}");
        assert_eq!(text.matches("::group::").count(), text.matches("::endgroup::").count());
    }

    #[test]
    fn cached_steps_are_a_line() {
        let text = play(&[planned(1, "FROM a", "a"), finished(1, StepState::Hit, 0)]);
        assert_eq!(text, "CACHED  FROM a\n");
        let text = play(&[
            planned(1, "FROM a", "a"),
            Event::StepStarted { step: 1 },
            finished(1, StepState::Hit, 0),
        ]);
        assert_eq!(text, "CACHED  FROM a\n");
    }

    #[test]
    fn a_slow_silent_step_gets_its_group() {
        let buffer = Buffer::default();
        let mut log = Log::new(Box::new(buffer.clone()), "TOKEN".to_owned());
        let (mut steps, start) = (Steps::default(), Instant::now());
        for event in [planned(1, "RUN a", "a"), Event::StepStarted { step: 1 }] {
            steps.apply(&event, start);
            log.event(&event, &[], &steps, start);
        }
        log.tick(&steps, start + PATIENCE / 2);
        assert!(buffer.0.lock().unwrap().is_empty());
        log.tick(&steps, start + PATIENCE);
        assert!(buffer.0.lock().unwrap().starts_with(b"::group::RUN a\n"));
    }
}
