//! Sizes of memory: `64m`, `1.5 GiB`, in powers of 1024.

/// Reads a size in bytes.
pub(super) fn parse(text: &str) -> Option<u64> {
    let digits_end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')? + 1;
    let (number, suffix) = text.split_at(digits_end);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let well_formed =
        number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'e' | b'E' | b'-'));
    let value: f64 = if well_formed { number.parse().ok()? } else { return None };
    if value < 0.0 {
        return None;
    }
    let suffix = suffix.to_ascii_lowercase();
    let power = match suffix.trim_end_matches("ib").trim_end_matches('b') {
        "" if matches!(suffix.as_str(), "" | "b") => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let known = suffix.len() < 2 || matches!(&suffix[1..], "b" | "ib");
    let bytes = value * 1024_f64.powi(power);
    // A float to integer cast saturates.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; saturates")]
    let bytes = bytes as u64;
    known.then_some(bytes)
}
