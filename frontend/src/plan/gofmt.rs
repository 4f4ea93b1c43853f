//! Texts of history entries as Go's formatting verbs write them.

use std::fmt::Write as _;
use std::time::Duration;

/// `%q` of a list of strings.
pub(super) fn quoted_list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("[{}]", quoted.join(" "))
}

/// `%v` of a list of strings.
pub(super) fn list(words: &[String]) -> String {
    format!("[{}]", words.join(" "))
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c => escape_unprintable(&mut out, c),
        }
    }
    out.push('"');
    out
}

fn escape_unprintable(out: &mut String, c: char) {
    let code = u32::from(c);
    // Blanks other than the ASCII one count as not printable, as do format characters.
    let unprintable = c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(code, 0xad | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xe000..=0xf8ff);
    let result = match code {
        _ if !unprintable => {
            out.push(c);
            Ok(())
        }
        0..0x80 => write!(out, "\\x{code:02x}"),
        0x80..0x10000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    debug_assert!(result.is_ok(), "writing to a string does not fail");
}

/// A duration as `1h30m0s`, `2.5s`, `500ms`, `0s`.
pub(super) fn duration(value: Duration) -> String {
    let nanos = value.as_nanos();
    let scaled = |unit: u128, name: &str| {
        let fraction = format!("{:0width$}", nanos % unit, width = unit.ilog10() as usize);
        match fraction.trim_end_matches('0') {
            "" => format!("{}{name}", nanos / unit),
            fraction => format!("{}.{fraction}{name}", nanos / unit),
        }
    };
    match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{nanos}ns"),
        1_000..1_000_000 => return scaled(1_000, "µs"),
        1_000_000..1_000_000_000 => return scaled(1_000_000, "ms"),
        _ => {}
    }
    let minutes = value.as_secs() / 60;
    let rest = duration_seconds(value.as_secs() % 60, value.subsec_nanos());
    match minutes {
        0 => rest,
        1..60 => format!("{minutes}m{rest}"),
        _ => format!("{}h{}m{rest}", minutes / 60, minutes % 60),
    }
}

fn duration_seconds(seconds: u64, nanos: u32) -> String {
    let fraction = format!("{nanos:09}");
    match fraction.trim_end_matches('0') {
        "" => format!("{seconds}s"),
        fraction => format!("{seconds}.{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_look_like_gos() {
        for (nanos, want) in [
            (0, "0s"),
            (1_500, "1.5µs"),
            (500_000_000, "500ms"),
            (2_500_000_000, "2.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_661_050_000_000, "1h1m1.05s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), want);
        }
    }

    #[test]
    fn strings_are_quoted_like_gos() {
        let words = ["sh", "a \"b\"\n", "é\u{1}"].map(str::to_owned);
        assert_eq!(quoted_list(&words), "[\"sh\" \"a \\\"b\\\"\\n\" \"é\\x01\"]");
    }
}
