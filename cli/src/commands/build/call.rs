//! `--check` and `--call`: questions about a Dockerfile, answered on standard output as text or JSON.
//!
//! The JSON has the shape of BuildKit's subrequests `frontend.lint`, `frontend.outline`, `frontend.targets` and
//! `frontend.subrequests.describe`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cooper_builder::request::BuildRequest;
use cooper_builder::{CheckReport, Outline, Parameter, Targets};
use cooper_frontend::ast::Span;
use serde_json::{Map, Value, json};

use crate::backend::Session;
use crate::failure::{Failure, Kind, Source};
use crate::flags::units;
use crate::{excerpt, ui};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The findings.
    Check,
    /// What the target takes.
    Outline,
    /// The stages.
    Targets,
    /// The methods.
    Describe,
}

/// A question, and how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What is asked.
    pub method: Method,
    /// As JSON.
    json: bool,
    /// Findings do not make the command fail.
    ignore_status: bool,
}

impl Call {
    /// Reads `--call` and `--check`; `None` is a build.
    pub fn parse(call: Option<&str>, check: bool) -> Result<Option<Call>, Failure> {
        let text = match (call, check) {
            (None, false) => return Ok(None),
            (Some(text), true)
                if !matches!(text.split(',').next(), Some("check" | "lint" | "build" | "")) =>
            {
                return Err(Failure::usage("--check cannot be combined with --call"));
            }
            (None | Some("build" | ""), true) => "check",
            (Some(text), _) => text,
        };
        let mut parts = text.split(',');
        let method = match parts.next().unwrap_or_default() {
            "build" | "" => return Ok(None),
            "check" | "lint" | "frontend.lint" => Method::Check,
            "outline" | "frontend.outline" => Method::Outline,
            "targets" | "frontend.targets" => Method::Targets,
            "subrequests.describe" | "frontend.subrequests.describe" => Method::Describe,
            other => {
                return Err(Failure::usage(format!(
                    "--call {other:?} is not known: use build, check, outline, targets or subrequests.describe"
                )));
            }
        };
        let mut found = Call { method, json: false, ignore_status: false };
        for part in parts {
            match part.split_once('=') {
                Some(("format", "json")) => found.json = true,
                Some(("format", "text")) => found.json = false,
                Some(("ignorestatus", value)) => {
                    found.ignore_status = units::truth(value)
                        .map_err(|e| Failure::usage(format!("--call ignorestatus: {e}")))?;
                }
                None if part == "ignorestatus" => found.ignore_status = true,
                _ => return Err(Failure::usage(format!("--call: {part:?} is not known"))),
            }
        }
        Ok(Some(found))
    }
}

/// Answers.
pub async fn run(call: Call, request: BuildRequest, session: &Session) -> Result<(), Failure> {
    let print = |value: Value, text: &dyn Fn() -> String| {
        ui::print(&if call.json { format!("{value:#}\n") } else { text() })
    };
    match call.method {
        Method::Describe => print(describe(), &describe_text),
        Method::Outline => {
            let outline = Box::pin(session.outline(request)).await?;
            print(outline_json(&outline), &|| outline_text(&outline))
        }
        Method::Targets => {
            let targets = Box::pin(session.targets(request)).await?;
            print(targets_json(&targets), &|| targets_text(&targets))
        }
        Method::Check => {
            let report = Box::pin(session.check(request)).await?;
            answer(call, report)
        }
    }
}

/// Tells what was found, and fails accordingly.
pub fn answer(call: Call, report: CheckReport) -> Result<(), Failure> {
    ui::print(&if call.json { format!("{:#}\n", check_json(&report)) } else { check_text(&report) })?;
    if !report.left_out.is_empty() {
        let rules = report.left_out.join(", ");
        ui::note(&format!("not checked, because a base image could not be looked up: {rules}"));
    }
    if call.ignore_status {
        return Ok(());
    }
    match report.error.map(Failure::from) {
        // The object tells it.
        Some(failure) if call.json => Err(Failure::silent(failure.kind)),
        Some(failure) => Err(failure),
        None if report.findings.is_empty() => Ok(()),
        None => Err(Failure::silent(Kind::User)),
    }
}

fn check_text(report: &CheckReport) -> String {
    let source = Source { name: report.dockerfile.name.clone(), text: report.dockerfile.text.clone() };
    let mut out = String::new();
    for finding in &report.findings {
        out.push_str(&excerpt::finding(
            &finding.rule,
            &finding.message,
            finding.span,
            &source,
            finding.url.as_deref(),
            console::colors_enabled(),
        ));
        out.push_str("\n\n");
    }
    match report.findings.len() {
        0 if report.error.is_some() => {}
        0 => out.push_str("Check complete, no warnings found.\n"),
        1 => out.push_str("Check complete, 1 warning has been found!\n"),
        count => out = format!("{out}Check complete, {count} warnings have been found!\n"),
    }
    out
}

/// As BuildKit writes it: the first source, which is the only one here, has no number.
fn location(span: Span) -> Value {
    json!({
        "ranges": [{"start": {"line": span.start_line}, "end": {"line": span.end_line}}],
    })
}

fn check_json(report: &CheckReport) -> Value {
    let warnings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            let mut object = Map::new();
            object.insert("ruleName".into(), finding.rule.clone().into());
            if !finding.description.is_empty() {
                object.insert("description".into(), finding.description.into());
            }
            if let Some(url) = &finding.url {
                object.insert("url".into(), url.clone().into());
            }
            object.insert("detail".into(), finding.message.clone().into());
            if let Some(span) = finding.span {
                object.insert("location".into(), location(span));
            }
            object.into()
        })
        .collect();
    let mut object = Map::new();
    object.insert("warnings".into(), warnings.into());
    let file = &report.dockerfile;
    object.insert(
        "sources".into(),
        json!([{"filename": file.name, "data": STANDARD.encode(&file.text), "language": "Dockerfile"}]),
    );
    if let Some(error) = &report.error {
        let message = crate::failure::with_causes(error);
        let place = error.span().map_or(Value::Null, location);
        object.insert("buildError".into(), json!({"message": message, "location": place}));
    }
    object.into()
}

/// Parameters as objects: name (under `key`), description, value, required, location, as far as there are any.
fn parameters(list: &[Parameter], key: &str) -> Value {
    let object = |parameter: &Parameter| {
        let mut object = Map::new();
        object.insert(key.into(), parameter.name.clone().into());
        if !parameter.description.is_empty() {
            object.insert("description".into(), parameter.description.clone().into());
        }
        if let Some(value) = &parameter.value {
            object.insert("value".into(), value.clone().into());
        }
        if parameter.required {
            object.insert("required".into(), true.into());
        }
        if let Some(span) = parameter.span {
            object.insert("location".into(), location(span));
        }
        Value::from(object)
    };
    list.iter().map(object).collect()
}

fn outline_json(outline: &Outline) -> Value {
    let mut object = Map::new();
    if !outline.name.is_empty() {
        object.insert("name".into(), outline.name.clone().into());
    }
    if !outline.description.is_empty() {
        object.insert("description".into(), outline.description.clone().into());
    }
    let lists = [
        ("args", &outline.args, "name"),
        ("secrets", &outline.secrets, "name"),
        ("ssh", &outline.ssh, "name"),
        ("cache", &outline.caches, "ID"),
    ];
    for (name, list, key) in lists.into_iter().filter(|(_, list, _)| !list.is_empty()) {
        object.insert(name.into(), parameters(list, key));
    }
    object.insert("sources".into(), json!([STANDARD.encode(&outline.dockerfile.text)]));
    object.into()
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn outline_text(outline: &Outline) -> String {
    let mut parts = Vec::new();
    if !outline.name.is_empty() || !outline.description.is_empty() {
        let name = if outline.name.is_empty() { "(default)" } else { &outline.name };
        let mut rows = vec![row(&["TARGET:", name])];
        if !outline.description.is_empty() {
            rows.push(row(&["DESCRIPTION:", &outline.description]));
        }
        parts.push(ui::table(&rows));
    }
    if !outline.args.is_empty() {
        let mut rows = vec![row(&["BUILD ARG", "VALUE", "DESCRIPTION"])];
        rows.extend(
            outline
                .args
                .iter()
                .map(|arg| row(&[&arg.name, arg.value.as_deref().unwrap_or_default(), &arg.description])),
        );
        parts.push(ui::table(&rows));
    }
    for (title, list) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        if !list.is_empty() {
            let mut rows = vec![row(&[title, "REQUIRED"])];
            rows.extend(list.iter().map(|one| row(&[&one.name, if one.required { "true" } else { "" }])));
            parts.push(ui::table(&rows));
        }
    }
    if !outline.caches.is_empty() {
        let mut rows = vec![row(&["CACHE MOUNT"])];
        rows.extend(outline.caches.iter().map(|cache| row(&[&cache.name])));
        parts.push(ui::table(&rows));
    }
    parts.join("\n")
}

fn targets_json(targets: &Targets) -> Value {
    let object = |target: &cooper_builder::Target| {
        let mut object = Map::new();
        if !target.name.is_empty() {
            object.insert("name".into(), target.name.clone().into());
        }
        if target.is_default {
            object.insert("default".into(), true.into());
        }
        let texts =
            [("description", &target.description), ("base", &target.base), ("platform", &target.platform)];
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            object.insert(key.into(), text.clone().into());
        }
        object.insert("location".into(), location(target.span));
        Value::from(object)
    };
    json!({
        "targets": targets.targets.iter().map(object).collect::<Vec<_>>(),
        "sources": [STANDARD.encode(&targets.dockerfile.text)],
    })
}

fn targets_text(targets: &Targets) -> String {
    let mut rows = vec![row(&["TARGET", "DESCRIPTION"])];
    for target in &targets.targets {
        let name = match (target.name.as_str(), target.is_default) {
            ("", true) => "(default)".to_owned(),
            (name, true) => format!("{name} (default)"),
            (name, false) => name.to_owned(),
        };
        rows.push(row(&[&name, &target.description]));
    }
    ui::table(&rows)
}

/// Name and purpose of the methods.
const METHODS: [(&str, &str, Option<&str>); 4] = [
    ("frontend.outline", "List all parameters current build target supports", Some("target")),
    ("frontend.targets", "List all targets current build supports", None),
    ("frontend.lint", "Lint a Dockerfile", Some("platform")),
    ("frontend.subrequests.describe", "List available subrequest types", None),
];

fn describe() -> Value {
    let object = |(name, description, option): &(&str, &str, Option<&str>)| {
        let options = option.map_or(Value::Null, |option| json!([{"name": option}]));
        json!({
            "name": name,
            "version": "1.0.0",
            "type": "rpc",
            "description": description,
            "opts": options,
            "inputs": null,
            "metadata": [{"name": "result.json"}, {"name": "result.txt"}],
            "refs": null,
        })
    };
    METHODS.iter().map(object).collect()
}

fn describe_text() -> String {
    let mut rows = vec![row(&["NAME", "VERSION", "DESCRIPTION"])];
    rows.extend(METHODS.iter().map(|(name, description, _)| row(&[name, "1.0.0", description])));
    ui::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_their_options() {
        let parse = |call: Option<&str>, check| Call::parse(call, check).map_err(|f| f.message);
        let found = |method, json, ignore_status| Ok(Some(Call { method, json, ignore_status }));
        assert_eq!(parse(None, false), Ok(None));
        assert_eq!(parse(Some("build"), false), Ok(None));
        assert_eq!(parse(None, true), found(Method::Check, false, false));
        assert_eq!(parse(Some("build"), true), found(Method::Check, false, false));
        assert_eq!(parse(Some("lint,format=json"), false), found(Method::Check, true, false));
        assert_eq!(parse(Some("check,ignorestatus=true"), false), found(Method::Check, false, true));
        assert_eq!(parse(Some("outline"), false), found(Method::Outline, false, false));
        assert_eq!(parse(Some("targets,format=text"), false), found(Method::Targets, false, false));
        assert_eq!(parse(Some("subrequests.describe"), false), found(Method::Describe, false, false));
        for wrong in ["nothing", "check,format=xml", "check,x"] {
            assert!(parse(Some(wrong), false).is_err(), "{wrong}");
        }
        assert!(parse(Some("outline"), true).is_err());
    }
}
