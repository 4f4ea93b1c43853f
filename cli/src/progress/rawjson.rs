//! `--progress=rawjson`: one JSON object for each event, in the shape of BuildKit's solve status
//! (`vertexes`, `statuses`, `logs`, `warnings`), so that its readers understand it.
//!
//! A vertex's `digest` is `step:N`. Beyond BuildKit's fields a finished vertex has `changed`, the reason for the work.

use std::io::Write;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cooper_builder::event::{Event, StepNumber, StepState, Stream};
use cooper_frontend::ast::Span;
use serde_json::{Map, Value, json};

use super::Renderer;
use super::steps::{Line, Steps};

/// Writes JSON lines.
pub struct RawJson {
    out: Box<dyn Write + Send>,
    started: std::collections::BTreeMap<StepNumber, String>,
}

impl RawJson {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        RawJson { out, started: <_>::default() }
    }

    fn vertex(&self, step: StepNumber, steps: &Steps, more: Value) -> Value {
        let mut vertex = Map::new();
        vertex.insert("digest".into(), digest(step));
        if let Some(entry) = steps.get(step) {
            vertex.insert("name".into(), entry.name.clone().into());
        }
        if let Some(started) = self.started.get(&step) {
            vertex.insert("started".into(), started.clone().into());
        }
        if let Value::Object(more) = more {
            vertex.extend(more);
        }
        json!({ "vertexes": [vertex] })
    }

    fn value(&mut self, event: &Event, steps: &Steps, now: &str) -> Option<Value> {
        Some(match event {
            Event::StepPlanned { step, .. } => self.vertex(*step, steps, Value::Null),
            Event::StepStarted { step } => {
                self.started.insert(*step, now.to_owned());
                self.vertex(*step, steps, Value::Null)
            }
            Event::StepOutput { step, stream, bytes } => json!({ "logs": [{
                "vertex": digest(*step),
                "stream": match stream { Stream::Stdout => 1, Stream::Stderr => 2 },
                "data": STANDARD.encode(bytes),
                "timestamp": now,
            }]}),
            Event::StepProgress { step, item, current_bytes, total_bytes } => {
                let mut status = json!({
                    "id": item,
                    "vertex": digest(*step),
                    "current": current_bytes,
                    "timestamp": now,
                    "started": self.started.get(step),
                });
                if let Some(total) = total_bytes {
                    status["total"] = (*total).into();
                    if total == current_bytes {
                        status["completed"] = now.into();
                    }
                }
                json!({ "statuses": [status] })
            }
            Event::StepFinished { state: StepState::Skipped, .. } => return None,
            Event::StepFinished { step, state, .. } => {
                self.started.entry(*step).or_insert_with(|| now.to_owned());
                let more = match state {
                    StepState::Hit => json!({ "completed": now, "cached": true }),
                    StepState::Miss { reason } if !reason.is_empty() => {
                        json!({ "completed": now, "changed": reason })
                    }
                    _ => json!({ "completed": now }),
                };
                self.vertex(*step, steps, more)
            }
            Event::StepFailed { step, message } => {
                self.vertex(*step, steps, json!({ "completed": now, "error": message }))
            }
            Event::Warning { rule, message, span } => {
                json!({ "warnings": [warning(rule, message, *span)] })
            }
            _ => return None,
        })
    }

    fn write(&mut self, value: &Value) {
        // Nobody may be reading.
        let _ = writeln!(self.out, "{value}");
        let _ = self.out.flush();
    }
}

/// A remark in the shape of BuildKit's.
pub fn warning(rule: &str, message: &str, span: Option<Span>) -> Value {
    let mut warning = json!({
        "level": 1,
        "short": STANDARD.encode(format!("{rule}: {message}")),
    });
    if let Some(span) = span {
        warning["range"] = json!([{
            "start": { "line": span.start_line },
            "end": { "line": span.end_line },
        }]);
    }
    warning
}

fn digest(step: StepNumber) -> Value {
    format!("step:{step}").into()
}

fn timestamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    cooper_oci::format_rfc3339(i64::try_from(now.as_secs()).unwrap_or_default(), now.subsec_nanos())
}

impl Renderer for RawJson {
    fn event(&mut self, event: &Event, _lines: &[Line], steps: &Steps, _now: Instant) {
        if let Some(value) = self.value(event, steps, &timestamp()) {
            self.write(&value);
        }
    }

    fn finish(&mut self, _rest: &[Line], ended: &[StepNumber], steps: &Steps, _now: Instant) {
        let now = timestamp();
        for number in ended {
            let value = self.vertex(*number, steps, json!({ "completed": now, "error": "canceled" }));
            self.write(&value);
        }
    }

    fn shows_all_output(&self) -> bool {
        true
    }

    fn has_shown(&self, _step: StepNumber, _steps: &Steps) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::steps::tests::{failed, finished, output, planned};
    use super::*;

    fn values(events: &[Event]) -> Vec<Value> {
        let mut json = RawJson::new(Box::new(std::io::sink()));
        let mut steps = Steps::default();
        let mut out = Vec::new();
        for event in events {
            steps.apply(event, Instant::now());
            out.extend(json.value(event, &steps, "T"));
        }
        out
    }

    #[test]
    fn events_become_solve_status() {
        let got = values(&[
            planned(1, "RUN a", "a"),
            Event::StepStarted { step: 1 },
            output(1, "hi\n"),
            failed(1, "exit code 1"),
            finished(2, StepState::Hit, 0),
            finished(3, StepState::Skipped, 0),
        ]);
        let want = [
            json!({ "vertexes": [{ "digest": "step:1", "name": "RUN a" }] }),
            json!({ "vertexes": [{ "digest": "step:1", "name": "RUN a", "started": "T" }] }),
            json!({ "logs": [{ "vertex": "step:1", "stream": 1, "data": "aGkK", "timestamp": "T" }] }),
            json!({ "vertexes": [
                { "digest": "step:1", "name": "RUN a", "started": "T", "completed": "T", "error": "exit code 1" }
            ]}),
            json!({ "vertexes": [
                { "digest": "step:2", "name": "step 2", "started": "T", "completed": "T", "cached": true }
            ]}),
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn transfers_complete() {
        let moved = |current| Event::StepProgress {
            step: 1,
            item: "blob".into(),
            current_bytes: current,
            total_bytes: Some(10),
        };
        let got = values(&[planned(1, "x", "a"), moved(5), moved(10)]);
        assert_eq!(got[1]["statuses"][0]["current"], 5);
        assert!(got[1]["statuses"][0].get("completed").is_none());
        assert_eq!(got[2]["statuses"][0]["completed"], "T");
    }
}
