//! PAX records, `<length> <key>=<value>\n`: writing, and reading into the values they set.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::sparse::SparseRecords;

pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";
const XATTR_LIBARCHIVE: &[u8] = b"LIBARCHIVE.xattr.";

/// Values that records set for a member.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) uname: Option<Vec<u8>>,
    pub(super) gname: Option<Vec<u8>>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) size: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) dev_major: Option<u32>,
    pub(super) dev_minor: Option<u32>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) sparse: SparseRecords,
}

impl Records {
    /// Adds the records of one extended header to what earlier ones set.
    pub(super) fn read(&mut self, mut data: &[u8]) -> Result<(), &'static str> {
        while !data.is_empty() {
            let (key, value, rest) = split_record(data).ok_or("broken PAX record")?;
            self.set(key, value)?;
            data = rest;
        }
        Ok(())
    }

    /// Whether these set what only makes sense for one member.
    pub(super) fn name_a_member(&self) -> bool {
        self.path.is_some() || self.link.is_some() || self.size.is_some() || self.sparse.is_set()
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let text = |value: &[u8]| {
            if value.contains(&0) {
                return Err("NUL in a PAX name");
            }
            // An empty value means: as if there were no record.
            Ok((!value.is_empty()).then(|| value.to_vec()))
        };
        let number = |value| parse_decimal(value).ok_or("PAX record is no number");
        let device =
            |value| parse_decimal(value).and_then(|n| u32::try_from(n).ok()).ok_or("PAX device is no number");
        match key {
            b"path" => self.path = text(value)?,
            b"linkpath" => self.link = text(value)?,
            b"uname" => self.uname = text(value)?,
            b"gname" => self.gname = text(value)?,
            b"uid" => self.uid = Some(number(value)?),
            b"gid" => self.gid = Some(number(value)?),
            b"size" => self.size = Some(number(value)?),
            b"mtime" => self.mtime = Some(parse_time(value).ok_or("PAX time is no number")?),
            b"SCHILY.devmajor" => self.dev_major = Some(device(value)?),
            b"SCHILY.devminor" => self.dev_minor = Some(device(value)?),
            _ => {
                if let Some(name) = key.strip_prefix(XATTR).filter(|name| !name.is_empty()) {
                    self.xattrs.insert(name.to_vec(), value.to_vec());
                } else if let Some(name) = key.strip_prefix(XATTR_LIBARCHIVE).filter(|name| !name.is_empty())
                {
                    let value = value.trim_ascii_end();
                    let end = value.iter().rposition(|byte| *byte != b'=').map_or(0, |at| at + 1);
                    let value = STANDARD_NO_PAD
                        .decode(&value[..end])
                        .map_err(|_| "extended attribute is not base64")?;
                    // libarchive writes both forms of the same attribute; the plain one is exact.
                    self.xattrs.entry(percent_decode(name)).or_insert(value);
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.set(name, value)?;
                }
            }
        }
        Ok(())
    }
}

/// Splits off one record: key, value, rest.
fn split_record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // More than 20 digits are no length.
    let space = data.iter().take(21).position(|byte| *byte == b' ')?;
    let length = usize::try_from(parse_decimal(&data[..space])?).ok()?;
    let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    (!key.is_empty() && !key.contains(&0)).then_some((key, value, &data[length..]))
}

/// Digits only, no sign.
pub(super) fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// `[-]seconds[.fraction]` as seconds rounded down and nanoseconds.
fn parse_time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let dot = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let seconds = i128::from(parse_decimal(&text[..dot])?);
    let fraction = text.get(dot + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| u32::from(digit - b'0'));
    let nanos = (0..9).fold(0, |nanos, at| nanos * 10 + digit(at));
    let (seconds, nanos) = match (negative, nanos) {
        (false, nanos) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, nanos) => (-seconds - 1, 1_000_000_000 - nanos),
    };
    Some((i64::try_from(seconds).ok()?, nanos))
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let hex =
        |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == b'%'
            && let (Some(high), Some(low)) = (hex(text.get(at + 1)), hex(text.get(at + 2)))
        {
            decoded.push(high * 16 + low);
            at += 3;
        } else {
            decoded.push(*byte);
            at += 1;
        }
    }
    decoded
}

/// Writes a time as records hold it.
pub(super) fn format_time(seconds: i64, nanos: u32) -> String {
    if nanos == 0 {
        return seconds.to_string();
    }
    let text = if seconds < 0 {
        // Records count the fraction away from zero, we count it upwards.
        format!("-{}.{:09}", -(i128::from(seconds) + 1), 1_000_000_000 - nanos)
    } else {
        format!("{seconds}.{nanos:09}")
    };
    text.trim_end_matches('0').to_owned()
}

/// Key and value of the record that holds an extended attribute.
pub(super) fn xattr_record(name: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    if !name.contains(&b'=') && !name.contains(&b'\n') {
        return ([XATTR, name].concat(), value.to_vec());
    }
    // A key ends at its first `=`: libarchive's form escapes it.
    let mut key = XATTR_LIBARCHIVE.to_vec();
    for byte in name {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            key.push(*byte);
        } else {
            key.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    (key, STANDARD.encode(value).into_bytes())
}

/// Writes one record; its length counts its own digits.
pub(super) fn write_record(into: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + decimal_len(rest);
    if decimal_len(length) != decimal_len(rest) {
        length = rest + decimal_len(length);
    }
    into.extend_from_slice(length.to_string().as_bytes());
    into.push(b' ');
    into.extend_from_slice(key);
    into.push(b'=');
    into.extend_from_slice(value);
    into.push(b'\n');
}

fn decimal_len(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn record_lengths_count_themselves() {
        for value_len in 0..1200 {
            let mut bytes = Vec::new();
            write_record(&mut bytes, b"path", &vec![b'x'; value_len]);
            let (key, value, rest) = split_record(&bytes).unwrap();
            assert_eq!((key, value.len(), rest.len()), (b"path".as_slice(), value_len, 0));
        }
    }

    #[test]
    fn times_round_down() {
        assert_eq!(parse_time(b"1.5"), Some((1, 500_000_000)));
        assert_eq!(parse_time(b"-1.5"), Some((-2, 500_000_000)));
        assert_eq!(parse_time(b"-0.5"), Some((-1, 500_000_000)));
        assert_eq!(parse_time(b"7.1234567899"), Some((7, 123_456_789)));
        for bad in [b"".as_slice(), b"-", b".5", b"1e3", b"1.x", b"+1", b"99999999999999999999"] {
            assert_eq!(parse_time(bad), None);
        }
        for time in [(0, 1), (-1, 1), (-5, 999_999_999), (i64::MAX, 7), (-1, 0), (i64::MIN, 0), (i64::MIN, 1)]
        {
            assert_eq!(parse_time(format_time(time.0, time.1).as_bytes()), Some(time));
        }
    }

    #[test]
    fn attribute_names_with_an_equals_sign_survive() {
        let (key, value) = xattr_record(b"user.a=b", b"\x00\xff");
        let mut bytes = Vec::new();
        write_record(&mut bytes, &key, &value);
        let mut records = Records::default();
        records.read(&bytes).unwrap();
        assert_eq!(records.xattrs.get(b"user.a=b".as_slice()).unwrap(), b"\x00\xff");
    }

    #[test]
    fn broken_records_are_refused() {
        for bad in [
            b"9 path=a".as_slice(),
            b"5 =a\n",
            b"99 path=a\n",
            b"0 \n",
            b"-1 a=b\n",
            b"6 path\n",
            b"8 size=\n",
        ] {
            assert!(Records::default().read(bad).is_err(), "{bad:?}");
        }
    }
}
