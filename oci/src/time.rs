//! RFC 3339 times as Go writes them.

/// Writes a time in UTC with as many digits of the fraction as it needs, like Go's `RFC3339Nano`.
///
/// Nanoseconds count forward from the second, also before 1970. Years outside 0–9999 are clamped.
pub fn format_rfc3339(unix_seconds: i64, nanos: u32) -> String {
    const FIRST: i64 = -62_167_219_200; // 0000-01-01T00:00:00Z
    const LAST: i64 = 253_402_300_799; // 9999-12-31T23:59:59Z
    let seconds = unix_seconds.clamp(FIRST, LAST);
    let timestamp = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let time = timestamp.to_zoned(jiff::tz::TimeZone::UTC);
    let mut text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    let nanos = nanos.min(999_999_999);
    if nanos != 0 {
        text.push_str(format!(".{nanos:09}").trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Reads an RFC 3339 time: seconds since 1970 (rounded down) and nanoseconds.
pub fn parse_rfc3339(text: &str) -> Option<(i64, u32)> {
    let nanoseconds = text.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
    let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
    let nanos = u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).ok()?;
    Some((seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_go_does() {
        assert_eq!(format_rfc3339(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(format_rfc3339(0, 120_000_000), "1970-01-01T00:00:00.12Z");
        assert_eq!(format_rfc3339(-1, 1), "1969-12-31T23:59:59.000000001Z");
        assert_eq!(format_rfc3339(i64::MAX, 0), "9999-12-31T23:59:59Z");
        assert_eq!(format_rfc3339(i64::MIN, 0), "0000-01-01T00:00:00Z");
    }

    #[test]
    fn reads_what_it_writes_and_offsets() {
        for (seconds, nanos) in [(0, 0), (-1, 1), (1_700_000_000, 999_999_999), (-2_000_000_000, 5)] {
            assert_eq!(parse_rfc3339(&format_rfc3339(seconds, nanos)), Some((seconds, nanos)));
        }
        assert_eq!(parse_rfc3339("2024-01-01T02:00:00+02:00"), parse_rfc3339("2024-01-01T00:00:00Z"));
        assert_eq!(parse_rfc3339("yesterday"), None);
    }
}
