//! RFC 3339 times as Go writes them.

/// Writes a time in UTC with as many digits of the fraction as it needs, like Go's `RFC3339Nano`.
///
/// Nanoseconds count forward from the second, also before 1970. Years outside 0–9999 are clamped.
pub fn format_rfc3339(unix_seconds: i64, nanos: u32) -> String {
    const FIRST: i64 = -62_167_219_200; // 0000-01-01T00:00:00Z
    const LAST: i64 = 253_402_300_799; // 9999-12-31T23:59:59Z
    let seconds = unix_seconds.clamp(FIRST, LAST);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    let nanos = nanos.min(999_999_999);
    if nanos != 0 {
        text.push_str(format!(".{nanos:09}").trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Count from 0000-03-01, so that the leap day ends a year; 400 years have 146 097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months of 31, 30, 31, 30, 31 days take turns of 153 days.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
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
    fn every_day_is_the_one_after_the_last() {
        let mut day = -62_167_219_200;
        while day < 253_000_000_000 {
            if let Some((seconds, _)) = parse_rfc3339(&format_rfc3339(day, 0)) {
                assert_eq!(seconds, day);
            }
            day += 86_400 * 17 + 3671;
        }
        assert_eq!(format_rfc3339(951_782_400, 0), "2000-02-29T00:00:00Z");
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
