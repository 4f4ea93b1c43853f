//! What headers of a download say: its name, its time, whether its tag can be trusted.

use super::percent_decoded;

/// Whether equal tags mean equal bytes.
pub fn is_strong(etag: Option<&str>) -> bool {
    etag.is_some_and(|tag| tag.starts_with('"') && tag.len() > 2)
}

/// First byte, and length of the whole, of a `Content-Range: bytes FIRST-LAST/LENGTH`.
pub fn parse_content_range(text: &str) -> Option<(u64, u64)> {
    let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, length): (u64, u64, u64) =
        (first.parse().ok()?, last.parse().ok()?, length.parse().ok()?);
    (first <= last && last.checked_add(1)? == length).then_some((first, length))
}

/// Whether a name stands for one file in a directory.
pub fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= 255
        && !name.contains(['/', '\0'])
        && !name.contains(char::is_control)
}

/// `filename=` of a `Content-Disposition`; only its last part, as browsers do.
pub fn disposition_name(header: &str) -> Option<String> {
    let mut plain = None;
    for part in header.split(';').skip(1) {
        let Some((key, value)) = part.split_once('=') else { continue };
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        match key.trim().to_ascii_lowercase().as_str() {
            "filename" => plain = Some(value.to_owned()),
            "filename*" => {
                let encoded =
                    value.get(..7).filter(|p| p.eq_ignore_ascii_case("utf-8''")).and(value.get(7..));
                if let Some(encoded) = encoded {
                    plain = Some(percent_decoded(encoded));
                    break;
                }
            }
            _ => {}
        }
    }
    let name = plain?;
    let last = name.rsplit(['/', '\\']).next()?.to_owned();
    is_file_name(&last).then_some(last)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in Unix seconds.
pub fn parse_date(text: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let at = MONTHS.find(month).filter(|at| month.len() == 3 && at % 3 == 0)?;
    let (seconds, _) = cooper_oci::parse_rfc3339(&format!("{year}-{:02}-{day}T{time}Z", at / 3 + 1))?;
    (words.next()? == "GMT").then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        assert_eq!(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        for bad in ["", "1994-11-06", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn ranges_reach_to_the_end_or_do_not_count() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, 10)));
        for bad in ["", "bytes 5-8/10", "bytes 5-9/*", "bytes */10", "bytes 9-5/6", "items 5-9/10"] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_from_headers_are_file_names() {
        for (header, want) in [
            ("attachment; filename=\"a b.txt\"", Some("a b.txt")),
            ("attachment; filename=a.txt; size=3", Some("a.txt")),
            ("attachment; filename=\"../../etc/passwd\"", Some("passwd")),
            ("attachment; filename=\"a\\b\"", Some("b")),
            ("attachment; filename=x; filename*=UTF-8''%e2%82%ac.txt", Some("€.txt")),
            ("attachment; filename*=UTF-8''..%2f..", None),
            ("attachment; filename=\"..\"", None),
            ("attachment; filename=\"a/\"", None),
            ("attachment", None),
            ("inline; bare", None),
        ] {
            assert_eq!(disposition_name(header).as_deref(), want, "{header}");
        }
    }
}
