//! The summary page: a table of the steps, appended to GITHUB_STEP_SUMMARY.

use cooper_builder::event::StepState;

use crate::failure::Failure;
use crate::progress::steps::{Status, Step, Steps, rebuilt};
use crate::progress::text;

/// The runner refuses more than 1 MiB; so many rows stay far below.
const MOST_ROWS: usize = 500;

/// The page as Markdown.
pub fn page(steps: &Steps, image: Option<&str>, failure: Option<&Failure>) -> String {
    let (all, done, cached) = steps.counts();
    let mut parts = vec!["### Cooper build\n\n".to_owned()];
    match (failure, image) {
        (Some(failure), _) => parts.push(format!("**Failed**: {}\n\n", cell(&text::short(&failure.message)))),
        (None, Some(image)) => parts.push(format!("Built {}\n\n", code(image))),
        (None, None) => {}
    }
    parts.push(format!("{done} of {all} steps done, {cached} of them cached.\n\n"));
    parts.push("| step | state | seconds |\n|---|---|---:|\n".to_owned());
    let rows: Vec<_> = steps.iter().filter_map(|(_, step)| row(step)).collect();
    let left_out = rows.len().saturating_sub(MOST_ROWS);
    parts.extend(rows.into_iter().take(MOST_ROWS));
    if left_out > 0 {
        parts.push(format!("\n{left_out} more steps are not shown.\n"));
    }
    parts.concat()
}

fn row(step: &Step) -> Option<String> {
    let (state, seconds) = match &step.status {
        Status::Done(StepState::Skipped, _) => return None,
        Status::Done(StepState::Hit, _) => ("cached".to_owned(), String::new()),
        Status::Done(state, time) => {
            let reason = rebuilt(state).map(|r| format!(" (changed: {})", cell(&r))).unwrap_or_default();
            (format!("done{reason}"), seconds(*time))
        }
        Status::Failed(message, time) => {
            (format!("**failed**: {}", cell(&text::short(message))), seconds(*time))
        }
        Status::Cancelled => ("cancelled".to_owned(), String::new()),
        Status::Waiting | Status::Running => ("not run".to_owned(), String::new()),
    };
    Some(format!("| {} | {state} | {seconds} |\n", code(&step.name)))
}

fn seconds(time: std::time::Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

/// Plain text in a table's cell.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Code in a table's cell; HTML, since backticks cannot hold backticks and bars at once.
fn code(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('|', "&#124;");
    format!("<code>{}</code>", escaped.replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use cooper_builder::event::Event;

    use super::*;
    use crate::failure::Kind;
    use crate::progress::steps::tests::{MISS, failed, finished, planned};

    #[test]
    fn every_step_has_a_row() {
        let (mut steps, now) = (Steps::default(), Instant::now());
        for (step, name) in [(1, "FROM a"), (2, "RUN a | b <x>"), (3, "RUN c"), (4, "RUN d"), (5, "unused")] {
            steps.apply(&planned(step, name, "s"), now);
        }
        steps.apply(&finished(1, StepState::Hit, 0), now);
        steps.apply(&finished(2, MISS, 1234), now);
        steps.apply(&Event::StepStarted { step: 3 }, now);
        steps.apply(&failed(3, "exit `1` | x"), now);
        steps.apply(&finished(5, StepState::Skipped, 0), now);
        let failure = Failure::new(Kind::User, "RUN c failed: <b>");
        let want = "### Cooper build\n\n**Failed**: RUN c failed: &lt;b&gt;\n\n\
                    2 of 4 steps done, 1 of them cached.\n\n\
                    | step | state | seconds |\n|---|---|---:|\n\
                    | <code>FROM a</code> | cached |  |\n\
                    | <code>RUN a &#124; b &lt;x&gt;</code> | done | 1.2 |\n\
                    | <code>RUN c</code> | **failed**: exit \\`1\\` \\| x | 0.0 |\n\
                    | <code>RUN d</code> | not run |  |\n";
        assert_eq!(page(&steps, None, Some(&failure)), want);
    }

    #[test]
    fn huge_builds_stay_below_the_limit() {
        let (mut steps, now) = (Steps::default(), Instant::now());
        for step in 0..2000 {
            steps.apply(&planned(step, &"x".repeat(200), "s"), now);
        }
        let text = page(&steps, Some("sha256:ab"), None);
        assert!(text.len() < 1 << 20);
        assert!(text.contains("1500 more steps"));
    }
}
