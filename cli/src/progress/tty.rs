//! `--progress=tty`: a live tree of the stages at work below the steps that have ended.
//!
//! ```text
//!  ✔ [build 2/5] COPY go.mod ./                      0.1s
//! [+] Building 12.3s (4/9), 2 cached
//!  build
//!   ⠹ [build 3/5] RUN make                          12.1s
//!     │ cc -o main main.c
//! ```
//!
//! Ended steps are printed once and scroll away; only what is at work is drawn again and again, and always fits
//! the screen. What is drawn is made by [`frame`], a pure function.

use std::time::{Duration, Instant};

use console::{measure_text_width, truncate_str};
use cooper_builder::event::{Event, StepNumber, StepState};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Renderer;
use super::steps::{Line, Status, Step, Steps, rebuilt};
use super::text::{self, Colour};

/// Lines of output shown below a running step when there is room; BUILDKIT_TTY_LOG_LINES changes it.
const LOG_LINES: usize = 6;

/// Draws with indicatif.
pub struct Tty {
    progress: MultiProgress,
    live: ProgressBar,
    started: Instant,
    log_lines: usize,
    paint: Paint,
    state: &'static str,
}

impl Tty {
    /// Draws on standard error.
    pub fn new(colour: bool) -> Self {
        let progress = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let live = progress.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            live.set_style(style);
        }
        let log_lines = std::env::var("BUILDKIT_TTY_LOG_LINES").ok().and_then(|v| v.parse().ok());
        Tty {
            progress,
            live,
            started: Instant::now(),
            log_lines: log_lines.unwrap_or(LOG_LINES),
            paint: Paint(colour),
            state: "",
        }
    }

    fn draw(&self, steps: &Steps, now: Instant) {
        let (height, width) = console::Term::stderr().size();
        let view = View {
            width: usize::from(width),
            height: usize::from(height).saturating_sub(1),
            log_lines: self.log_lines,
            elapsed: now.saturating_duration_since(self.started),
            paint: self.paint,
            state: self.state,
        };
        self.live.set_message(frame(steps, now, &view).join("\n"));
    }

    fn print(&self, line: &str) {
        let (_, width) = console::Term::stderr().size();
        // Drawing never fails a build.
        let _ = self.progress.println(truncate_str(line, usize::from(width), "…"));
    }
}

impl Renderer for Tty {
    fn event(&mut self, event: &Event, _lines: &[Line], steps: &Steps, now: Instant) {
        let ended = match event {
            Event::StepFinished { step, .. } | Event::StepFailed { step, .. } => Some(*step),
            _ => None,
        };
        if let Some(line) = ended.and_then(|step| ended_line(steps.get(step)?, self.paint)) {
            self.print(&line);
            self.draw(steps, now);
        }
    }

    fn tick(&mut self, steps: &Steps, now: Instant) {
        self.draw(steps, now);
    }

    fn interrupted(&mut self) {
        self.state = "cancelling; Ctrl-C again to stop at once";
    }

    fn finish(&mut self, _rest: &[Line], ended: &[StepNumber], steps: &Steps, now: Instant) {
        for line in ended.iter().filter_map(|step| ended_line(steps.get(*step)?, self.paint)) {
            self.print(&line);
        }
        self.live.finish_and_clear();
        let elapsed = now.saturating_duration_since(self.started);
        let failed = steps.iter().any(|(_, s)| !matches!(s.status, Status::Done(..) | Status::Waiting));
        let state = if failed { "FAILED" } else { "FINISHED" };
        self.print(&headline(steps, elapsed, state));
    }

    fn shows_all_output(&self) -> bool {
        false
    }

    fn has_shown(&self, _step: StepNumber, _steps: &Steps) -> bool {
        false
    }
}

/// Whether we use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Paint(bool);

impl Paint {
    fn with(self, code: u8, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    fn dim(self, text: &str) -> String {
        self.with(2, text)
    }
    fn bold(self, text: &str) -> String {
        self.with(1, text)
    }
}

/// What a frame depends on beside the steps.
struct View {
    width: usize,
    height: usize,
    log_lines: usize,
    elapsed: Duration,
    paint: Paint,
    /// Said behind the counts.
    state: &'static str,
}

fn headline(steps: &Steps, elapsed: Duration, state: &str) -> String {
    let (all, done, cached) = steps.counts();
    let cached = if cached > 0 { format!(", {cached} cached") } else { String::new() };
    let state = if state.is_empty() { String::new() } else { format!(" {state}") };
    format!("[+] Building {} ({done}/{all}{cached}){state}", text::seconds(elapsed))
}

/// A step that has ended, as one line; `None` for one that nobody needed.
fn ended_line(step: &Step, paint: Paint) -> Option<String> {
    let (mark, note) = match &step.status {
        Status::Done(StepState::Skipped, _) | Status::Waiting | Status::Running => return None,
        Status::Done(StepState::Hit, _) => (paint.with(36, "✔"), paint.dim("CACHED")),
        Status::Done(state, duration) => {
            let reason = rebuilt(state).map(|r| format!("  changed: {r}")).unwrap_or_default();
            (paint.with(32, "✔"), paint.dim(&format!("{}{reason}", text::seconds(*duration))))
        }
        Status::Failed(_, duration) => (paint.with(31, "✘"), text::seconds(*duration)),
        Status::Cancelled => (paint.with(33, "-"), "CANCELED".to_owned()),
    };
    Some(format!(" {mark} {}  {note}", step.name))
}

/// The live part of the screen.
fn frame(steps: &Steps, now: Instant, view: &View) -> Vec<String> {
    let running: Vec<&Step> = steps.iter().map(|(_, s)| s).filter(|s| s.status == Status::Running).collect();
    // Stages in the order of their first running step.
    let mut stages: Vec<(Option<&str>, Vec<&Step>)> = Vec::new();
    for step in running {
        let stage = step.stage.as_deref();
        match stages.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, members)) => members.push(step),
            None => stages.push((stage, vec![step])),
        }
    }
    let titles = stages.iter().filter(|(name, _)| name.is_some()).count();
    let members: usize = stages.iter().map(|(_, members)| members.len()).sum();
    let room = view.height.saturating_sub(1 + titles + members);
    let each = room.checked_div(members).unwrap_or(0).min(view.log_lines);

    let mut lines = vec![view.paint.bold(&headline(steps, view.elapsed, view.state))];
    for (stage, members) in &stages {
        if let Some(stage) = stage {
            lines.push(view.paint.with(34, &format!(" {}", text::title(stage))));
        }
        for step in members {
            lines.push(running_line(step, now, view));
            lines.extend(details(step, each, view));
        }
    }
    if lines.len() > view.height {
        let keep = view.height.saturating_sub(1).max(1);
        let more = lines.len() - keep;
        lines.truncate(keep);
        lines.push(format!(" … {more} more lines"));
    }
    lines.iter().map(|line| truncate_str(line, view.width, "…").into_owned()).collect()
}

fn running_line(step: &Step, now: Instant, view: &View) -> String {
    const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
    let turn = usize::try_from(view.elapsed.as_millis() / 100).unwrap_or(0) % SPINNER.len();
    let time = text::seconds(step.elapsed(now));
    let room = view.width.saturating_sub(time.len() + 6);
    let name = truncate_str(&step.name, room, "…");
    let gap = " ".repeat(room.saturating_sub(measure_text_width(&name)));
    format!("  {} {name}{gap} {time}", view.paint.with(33, SPINNER[turn]))
}

/// Transfers and the last lines of output, `most` together.
fn details(step: &Step, most: usize, view: &View) -> Vec<String> {
    let open = step.items.iter().filter(|i| i.total_bytes != Some(i.current_bytes));
    let mut lines: Vec<String> = open
        .map(|item| {
            let total = item.total_bytes.map(|t| format!(" / {}", text::size(t))).unwrap_or_default();
            format!("{} {}{total}", item.name, text::size(item.current_bytes))
        })
        .collect();
    lines.extend(step.tail.iter().map(|line| text::clean(line, Colour::Strip)));
    let first = lines.len().saturating_sub(most);
    lines.drain(..first);
    lines.iter().map(|line| view.paint.dim(&format!("    │ {line}"))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::steps::tests::{MISS, failed, finished, output, planned};
    use super::*;

    fn view(width: usize, height: usize) -> View {
        View {
            width,
            height,
            log_lines: LOG_LINES,
            elapsed: Duration::from_millis(3200),
            paint: Paint(false),
            state: "",
        }
    }

    fn draw(events: &[Event], view: &View) -> Vec<String> {
        let (mut steps, start) = (Steps::default(), Instant::now());
        for event in events {
            steps.apply(event, start);
        }
        frame(&steps, start + Duration::from_millis(1500), view)
    }

    fn two_stages() -> Vec<Event> {
        vec![
            planned(1, "[build 1/2] FROM x", "build"),
            planned(2, "[build 2/2] RUN make", "build"),
            planned(3, "[docs 1/1] RUN man", "docs"),
            finished(1, StepState::Hit, 0),
            Event::StepStarted { step: 2 },
            Event::StepStarted { step: 3 },
            output(2, "cc -c a.c\ncc -c b.c\n"),
            output(3, "\x1b[2J\x1b[31mhello\x1b[0m\n"),
        ]
    }

    #[test]
    fn stages_hold_their_running_steps_and_last_lines() {
        let want = [
            "[+] Building 3.2s (1/3, 1 cached)",
            " build",
            "  ⠹ [build 2/2] RUN make         1.5s",
            "    │ cc -c a.c",
            "    │ cc -c b.c",
            " docs",
            "  ⠹ [docs 1/1] RUN man           1.5s",
            "    │ hello",
        ];
        assert_eq!(draw(&two_stages(), &view(38, 24)), want);
    }

    #[test]
    fn a_frame_fits_every_screen() {
        let mut events = two_stages();
        for step in 10..40 {
            events.push(planned(step, &format!("RUN number {step} with a rather long name"), "many"));
            events.push(Event::StepStarted { step });
            events.push(output(step, &"wide ".repeat(100)));
            events.push(output(step, "\nline\nline\n"));
        }
        for (width, height) in [(80, 24), (20, 5), (200, 60), (10, 2)] {
            let lines = draw(&events, &view(width, height));
            assert!(lines.len() <= height, "{} lines on {height}", lines.len());
            assert!(lines.iter().all(|l| measure_text_width(l) <= width), "{lines:?}");
        }
    }

    #[test]
    fn log_lines_shrink_before_steps_vanish() {
        let lines = draw(&two_stages(), &view(80, 7));
        assert!(lines.iter().any(|l| l.contains("cc -c b.c")) && !lines.iter().any(|l| l.contains("a.c")));
        assert!(lines.iter().any(|l| l.contains("RUN man")));
    }

    #[test]
    fn transfers_show_until_complete() {
        let moved = |current_bytes| Event::StepProgress {
            step: 1,
            item: "sha256:ab".into(),
            current_bytes,
            total_bytes: Some(2_000_000),
        };
        let mut events = vec![planned(1, "FROM x", "a"), Event::StepStarted { step: 1 }, moved(1_000_000)];
        assert_eq!(draw(&events, &view(60, 20)).last().unwrap(), "    │ sha256:ab 1.00MB / 2.00MB");
        events.push(moved(2_000_000));
        assert_eq!(draw(&events, &view(60, 20)).len(), 3);
    }

    #[test]
    fn ended_steps_are_one_line() {
        let (mut steps, now) = (Steps::default(), Instant::now());
        for (step, name) in [(1, "A"), (2, "B"), (3, "C"), (4, "D"), (5, "E")] {
            steps.apply(&planned(step, name, "s"), now);
        }
        steps.apply(&finished(1, StepState::Hit, 0), now);
        steps.apply(&finished(2, StepState::Miss { reason: "x content".into() }, 100), now);
        steps.apply(&finished(3, MISS, 100), now);
        steps.apply(&finished(4, StepState::Skipped, 0), now);
        steps.apply(&failed(5, "exit code 1"), now);
        let lines: Vec<_> = steps.iter().filter_map(|(_, s)| ended_line(s, Paint(false))).collect();
        assert_eq!(lines, [" ✔ A  CACHED", " ✔ B  0.1s  changed: x content", " ✔ C  0.1s", " ✘ E  0.0s"]);
    }
}
