//! Draws a failure or a remark: the Dockerfile's lines with the place marked, the cause, and what to do.
//!
//! Text from outside is cleaned of control characters first: it must not steer the terminal.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use cooper_frontend::ast::Span;

use crate::failure::{Failure, Kind, Place, Source};
use crate::progress::text;

/// Draws a failure; the result ends without a line break.
pub fn failure(failure: &Failure, colour: bool) -> String {
    let message = text::paragraph(&failure.message);
    let hint = failure.hint.as_deref().map(text::paragraph);
    if failure.kind == Kind::Cancelled {
        return format!("cooper: {message}");
    }
    if let Some(Place { span, source: Some(source) }) = failure.place.as_deref() {
        return with_lines(Level::ERROR, &short(&message), *span, source, hint.as_deref(), colour);
    }
    let mut lines = vec![format!("cooper: {message}")];
    lines.extend(failure.place.iter().map(|place| format!("  at {} of the Dockerfile", place.span)));
    lines.extend(hint.map(|hint| format!("  hint: {hint}")));
    lines.join("\n")
}

/// The excerpt shows the command already: of a long line that repeats it the ends will do.
fn short(message: &str) -> String {
    message.lines().map(text::short).collect::<Vec<_>>().join("\n")
}

/// Draws a remark on the Dockerfile.
pub fn warning(rule: &str, message: &str, span: Option<Span>) -> String {
    let place = span.map(|s| format!(" ({s})")).unwrap_or_default();
    format!("{}: {}{place}", text::paragraph(rule), text::paragraph(message))
}

/// Draws a finding of the checks, with the rule's page; the result ends without a line break.
pub fn finding(
    rule: &str,
    message: &str,
    span: Option<Span>,
    source: &Source,
    url: Option<&str>,
    colour: bool,
) -> String {
    let rule = text::paragraph(rule);
    let message = text::paragraph(message);
    let Some(span) = span else { return format!("warning[{rule}]: {message}") };
    let name = text::paragraph(&source.name);
    let range = within(&source.text, span);
    let snippet = Snippet::source(source.text.as_str())
        .path(name.as_str())
        .annotation(AnnotationKind::Primary.span(range));
    let mut group: Group<'_> = Level::WARNING.primary_title(&message).id(rule.as_str()).element(snippet);
    if let Some(url) = url {
        group = group.element(Level::HELP.message(url));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

fn with_lines(
    level: Level<'static>,
    message: &str,
    span: Span,
    source: &Source,
    hint: Option<&str>,
    colour: bool,
) -> String {
    let name = text::paragraph(&source.name);
    let range = within(&source.text, span);
    let snippet = Snippet::source(source.text.as_str())
        .path(name.as_str())
        .annotation(AnnotationKind::Primary.span(range));
    let mut group: Group<'_> = level.primary_title(message).element(snippet);
    if let Some(hint) = hint {
        group = group.element(Level::HELP.message(hint));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// The span's bytes, moved onto character borders inside the text, without trailing white space.
fn within(text: &str, span: Span) -> std::ops::Range<usize> {
    let border = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = border(span.start);
    let end = border(span.end.max(span.start));
    start..start + text[start..end].trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "FROM busybox\nCOPY a.txt /\nRUN echo hi && \\\n    false\nCMD x\n";

    fn at(start_line: u32, end_line: u32, part: &str) -> Span {
        let start = TEXT.find(part).unwrap_or_default();
        Span { start_line, end_line, start, end: start + part.len() }
    }

    fn failing(span: Option<Span>, hint: Option<&str>) -> Failure {
        Failure {
            hint: hint.map(str::to_owned),
            place: span.map(|span| {
                let source = Source { name: "Dockerfile".into(), text: TEXT.into() };
                Box::new(Place { span, source: Some(source) })
            }),
            ..Failure::new(Kind::User, "/a.txt is not in the build context")
        }
    }

    #[test]
    fn names_line_cause_and_hint() {
        let shown =
            failure(&failing(Some(at(2, 2, "a.txt")), Some("excluded by .dockerignore:7 \"*.txt\"")), false);
        for part in [
            "error: /a.txt is not in the build context",
            "Dockerfile:2:6",
            "2 | COPY a.txt /",
            "^^^^^",
            "help: excluded by .dockerignore:7",
        ] {
            assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
        }
        assert!(!shown.contains("FROM"), "other lines stay out:\n{shown}");
    }

    #[test]
    fn shows_all_lines_of_an_instruction() {
        let shown = failure(&failing(Some(at(3, 4, "RUN echo hi && \\\n    false")), None), false);
        assert!(shown.contains("RUN echo hi") && shown.contains("    false"), "{shown}");
    }

    #[test]
    fn who_cancelled_needs_no_excerpt() {
        let mut stopped = failing(Some(at(2, 2, "a.txt")), None);
        stopped.kind = Kind::Cancelled;
        stopped.message = "the build was cancelled".into();
        assert_eq!(failure(&stopped, false), "cooper: the build was cancelled");
    }

    #[test]
    fn survives_spans_outside_of_the_text() {
        for (start, end) in [(TEXT.len(), TEXT.len()), (9999, 10000), (5, 2)] {
            let span = Span { start_line: 1, end_line: 1, start, end };
            assert!(failure(&failing(Some(span), None), false).contains("error: "));
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut bad = failing(Some(at(2, 2, "a.txt")), Some("try \x1b[2J"));
        bad.message = "bad \x1b]0;title\x07 name".to_owned();
        if let Some(source) = bad.place.as_mut().and_then(|p| p.source.as_mut()) {
            source.text = TEXT.replace("busybox", "b\x1b[31mx").replace("a.txt", "\x1b[2J..");
        }
        let shown = failure(&bad, false);
        assert!(!shown.contains('\x1b') && !shown.contains('\x07'), "{shown:?}");
    }

    #[test]
    fn without_a_place_it_is_one_line_and_a_hint() {
        let plain = failing(None, Some("install uidmap"));
        assert_eq!(
            failure(&plain, false),
            "cooper: /a.txt is not in the build context\n  hint: install uidmap"
        );
    }
}
