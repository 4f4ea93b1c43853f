//! `--progress=plain`: lines as they come, each with the number of its step, as BuildKit writes them.
//!
//! ```text
//! #3 [build 2/5] RUN make
//! #3 0.123 cc -o main main.c
//! #3 DONE 0.1s
//! ```
//!
//! Numbers are given in the order in which steps first have something to show. A step's title comes again when
//! output of another step stood in between; a step that nobody needed does not appear.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use cooper_builder::event::{Event, StepNumber, StepState};

use super::Renderer;
use super::steps::{Line, Status, Steps, rebuilt};
use super::text::{self, Colour};

/// Lines are written together if events wait.
const BUFFER_BYTES: usize = 64 << 10;

/// So often the state of a transfer is told.
const TRANSFER_INTERVAL: Duration = Duration::from_secs(1);

/// Writes lines.
pub struct Plain {
    out: BufWriter<Box<dyn Write + Send>>,
    colour: Colour,
    numbers: BTreeMap<StepNumber, usize>,
    /// The step whose lines are the last ones, and how many they are.
    last: Option<(StepNumber, u64)>,
    transfers: BTreeMap<(StepNumber, String), Instant>,
}

impl Plain {
    /// Writes to `out`, keeping colours of steps if asked to.
    pub fn new(out: Box<dyn Write + Send>, colour: bool) -> Self {
        let colour = if colour { Colour::Keep } else { Colour::Strip };
        Plain {
            out: BufWriter::with_capacity(BUFFER_BYTES, out),
            colour,
            numbers: BTreeMap::new(),
            last: None,
            transfers: BTreeMap::new(),
        }
    }

    /// Writes a line of a step, after its title if that is due. Nobody may be reading: errors are ignored.
    fn line(&mut self, step: StepNumber, steps: &Steps, line: &str) {
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(step).or_insert(next);
        if self.last.is_none_or(|(last, _)| last != step) {
            let name = steps.get(step).map(|s| s.name.as_str()).unwrap_or_default();
            let gap = if self.last.is_some() { "\n" } else { "" };
            let _ = writeln!(self.out, "{gap}#{number} {name}");
            self.last = Some((step, 0));
        }
        if !line.is_empty() {
            let _ = writeln!(self.out, "#{number} {line}");
        }
    }

    fn output(&mut self, lines: &[Line], steps: &Steps, now: Instant) {
        for line in lines {
            let elapsed = steps.get(line.step).map(|s| s.elapsed(now)).unwrap_or_default();
            let shown = text::clean(&line.bytes, self.colour);
            self.line(line.step, steps, format!("{:.3} {shown}", elapsed.as_secs_f64()).trim_end());
            if let Some((_, count)) = &mut self.last {
                *count += 1;
            }
        }
    }

    fn transfer(&mut self, step: StepNumber, item: &str, steps: &Steps, now: Instant) {
        let Some(entry) = steps.get(step) else { return };
        let Some(item) = entry.items.iter().find(|i| i.name == text::title(item)) else { return };
        let complete = item.total_bytes == Some(item.current_bytes);
        let key = (step, item.name.clone());
        let due =
            self.transfers.get(&key).is_none_or(|t| now.saturating_duration_since(*t) >= TRANSFER_INTERVAL);
        if !due && !complete {
            return;
        }
        self.transfers.insert(key, now);
        let total = item.total_bytes.map(|t| format!(" / {}", text::size(t))).unwrap_or_default();
        let current = text::size(item.current_bytes);
        let line = format!("{} {current}{total} {}", item.name, text::seconds(entry.elapsed(now)));
        self.line(step, steps, &line);
    }
}

impl Renderer for Plain {
    fn flush(&mut self) {
        let _ = self.out.flush();
    }

    fn event(&mut self, event: &Event, lines: &[Line], steps: &Steps, now: Instant) {
        self.output(lines, steps, now);
        match event {
            Event::StepStarted { step } => self.line(*step, steps, ""),
            Event::StepProgress { step, item, .. } => self.transfer(*step, item, steps, now),
            Event::StepFinished { step, state, duration } => match state {
                StepState::Skipped => {}
                StepState::Hit => self.line(*step, steps, "CACHED"),
                state => {
                    let reason = rebuilt(state).map(|r| format!(" (changed: {r})")).unwrap_or_default();
                    self.line(*step, steps, &format!("DONE {}{reason}", text::seconds(*duration)));
                }
            },
            Event::StepFailed { step, .. } if is_cancelled(*step, steps) => {
                self.line(*step, steps, "CANCELED");
            }
            Event::StepFailed { step, message } if message.is_empty() => {
                let elapsed = steps.get(*step).map(|s| s.elapsed(now)).unwrap_or_default();
                self.line(*step, steps, &format!("FAILED {}", text::seconds(elapsed)));
            }
            Event::StepFailed { step, message } => {
                self.line(*step, steps, &format!("ERROR: {}", text::short(message)));
            }
            _ => {}
        }
    }

    fn interrupted(&mut self) {
        let _ = writeln!(self.out, "cancelling; press Ctrl-C again to stop at once");
        self.last = None;
        self.flush();
    }

    fn finish(&mut self, rest: &[Line], ended: &[StepNumber], steps: &Steps, now: Instant) {
        self.output(rest, steps, now);
        for number in ended {
            self.line(*number, steps, "CANCELED");
        }
        if self.last.is_some() {
            let _ = writeln!(self.out);
        }
        self.flush();
    }

    fn shows_all_output(&self) -> bool {
        true
    }

    fn has_shown(&self, step: StepNumber, steps: &Steps) -> bool {
        let kept = steps.get(step).map_or(0, |s| s.tail.len() as u64);
        self.last.is_some_and(|(last, count)| last == step && count >= kept)
    }
}

fn is_cancelled(step: StepNumber, steps: &Steps) -> bool {
    steps.get(step).is_some_and(|s| s.status == Status::Cancelled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use super::super::steps::tests::{MISS, failed, finished, output, planned};
    use super::*;

    #[derive(Clone, Default)]
    pub struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Plays events, each a tenth of a second after the other.
    fn play(events: &[Event]) -> (String, Plain, Steps) {
        let buffer = Buffer::default();
        let mut plain = Plain::new(Box::new(buffer.clone()), false);
        let mut steps = Steps::default();
        let mut now = Instant::now();
        for event in events {
            let lines = steps.apply(event, now);
            plain.event(event, &lines, &steps, now);
            now += Duration::from_millis(100);
        }
        let (rest, ended) = steps.close();
        plain.finish(&rest, &ended, &steps, now);
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        (text, plain, steps)
    }

    #[test]
    fn a_build_reads_as_buildkit_writes_it() {
        let (text, ..) = play(&[
            planned(10, "[1/3] FROM busybox", "stage-0"),
            planned(11, "[2/3] COPY a /", "stage-0"),
            planned(12, "[3/3] RUN make", "stage-0"),
            planned(13, "[other 1/1] RUN x", "other"),
            finished(10, StepState::Hit, 0),
            finished(13, StepState::Skipped, 0),
            Event::StepStarted { step: 11 },
            finished(11, StepState::Miss { reason: "a content".into() }, 50),
            Event::StepStarted { step: 12 },
            output(12, "one\ntw"),
            output(12, "o\n\n"),
            finished(12, MISS, 2300),
        ]);
        let want = "#1 [1/3] FROM busybox\n#1 CACHED\n\n#2 [2/3] COPY a /\n#2 DONE 0.1s (changed: a content)\n\n\
                    #3 [3/3] RUN make\n#3 0.100 one\n#3 0.200 two\n#3 0.200\n#3 DONE 2.3s\n\n";
        assert_eq!(text, want);
    }

    #[test]
    fn a_title_comes_again_after_another_step() {
        let (text, plain, steps) = play(&[
            planned(1, "RUN a", "a"),
            planned(2, "RUN b", "b"),
            Event::StepStarted { step: 1 },
            Event::StepStarted { step: 2 },
            output(1, "from a\n"),
            output(2, "from b\n"),
            output(1, "more a\n"),
            failed(1, "exit code 1"),
        ]);
        let want = "#1 RUN a\n\n#2 RUN b\n\n#1 RUN a\n#1 0.200 from a\n\n#2 RUN b\n#2 0.200 from b\n\n\
                    #1 RUN a\n#1 0.400 more a\n#1 ERROR: exit code 1\n\n#2 RUN b\n#2 CANCELED\n\n";
        assert_eq!(text, want);
        assert!(!plain.has_shown(1, &steps), "another step's lines stand below");
    }

    #[test]
    fn output_that_stands_last_is_not_shown_again() {
        let (_, plain, steps) = play(&[
            planned(1, "RUN a", "a"),
            Event::StepStarted { step: 1 },
            output(1, "x\ny"),
            failed(1, "no"),
        ]);
        assert!(plain.has_shown(1, &steps));
    }

    #[test]
    fn transfers_are_told_once_a_second_and_at_the_end() {
        let moved = |current| Event::StepProgress {
            step: 1,
            item: "sha256:ab".into(),
            current_bytes: current,
            total_bytes: Some(3000),
        };
        let mut events = vec![planned(1, "FROM x", "a"), Event::StepStarted { step: 1 }];
        events.extend((1..=30).map(|n| moved(n * 100)));
        let (text, ..) = play(&events);
        let lines: Vec<_> = text.lines().filter(|l| l.contains("sha256")).collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[3], "#1 sha256:ab 3.00kB / 3.00kB 3.0s");
    }
}
