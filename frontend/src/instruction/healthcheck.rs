//! HEALTHCHECK.

use std::time::Duration;

use crate::ast::{Healthcheck, HealthcheckTest, ShellOrExec, Text};
use crate::error::ParseError;
use crate::parser::node::{Args, Node};

use super::flags::Flags;
use super::{duration, shell_or_exec};

pub(super) fn read(node: &Node) -> Result<Healthcheck, ParseError> {
    let Args::Typed { kind, words, json } = &node.args else {
        return Err(node.error("HEALTHCHECK requires at least one argument"));
    };
    let upper = kind.text.to_uppercase();
    if upper == "NONE" {
        // Flags before NONE are not looked at.
        if !words.is_empty() {
            return Err(node.error("HEALTHCHECK NONE takes no arguments"));
        }
        return Ok(Healthcheck {
            test: HealthcheckTest::None,
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            start_period: Duration::ZERO,
            start_interval: Duration::ZERO,
            retries: 0,
        });
    }
    let mut flags = Flags::new(node);
    let mut texts =
        ["interval", "timeout", "start-period", "start-interval"].map(|name| (name, flags.text(name)));
    let retries = flags.text("retries");
    flags.check()?;
    if upper != "CMD" {
        let message = format!("Unknown type {upper:?} in HEALTHCHECK (try CMD)");
        return Err(ParseError::new(node.span_of(&kind.range), message));
    }
    if words.is_empty() {
        return Err(node.error("Missing command after HEALTHCHECK CMD"));
    }
    let test = match shell_or_exec(words, *json) {
        ShellOrExec::Shell(text) => HealthcheckTest::Shell(text),
        ShellOrExec::Exec(words) => HealthcheckTest::Exec(words),
    };
    let mut durations = [Duration::ZERO; 4];
    for (duration, (name, text)) in durations.iter_mut().zip(&mut texts) {
        *duration = text.as_ref().map_or(Ok(Duration::ZERO), |text| interval(name, text))?;
    }
    let [interval, timeout, start_period, start_interval] = durations;
    let retries = retries.as_ref().map_or(Ok(0), self::retries)?;
    Ok(Healthcheck { test, interval, timeout, start_period, start_interval, retries })
}

fn interval(name: &str, text: &Text) -> Result<Duration, ParseError> {
    let (negative, value) =
        duration::parse(&text.value).map_err(|message| ParseError::new(text.span, message))?;
    if negative || (!value.is_zero() && value < Duration::from_millis(1)) {
        return Err(ParseError::new(text.span, format!("Interval {name:?} cannot be less than 1ms")));
    }
    Ok(value)
}

fn retries(text: &Text) -> Result<u32, ParseError> {
    let invalid = |_| ParseError::new(text.span, format!("invalid value {:?} for --retries", text.value));
    let value: i32 = text.value.parse().map_err(invalid)?;
    u32::try_from(value)
        .map_err(|_| ParseError::new(text.span, format!("--retries cannot be negative ({value})")))
}
