//! Sizes, truth values and resource limits.

/// Reads a size such as `64m`, `1.5g`, `2GiB` or `1000`; units are powers of 1024, as everywhere in Docker's flags.
pub fn bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is not a size: write a number and b, k, m or g, such as 64m");
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(bad()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 {
        return Err(bad());
    }
    let whole: u128 = whole.parse().map_err(|_| bad())?;
    let mut total = whole.checked_shl(shift).filter(|_| whole < 1 << 64).ok_or_else(bad)?;
    if !fraction.is_empty() {
        let part: u128 = fraction.parse().map_err(|_| bad())?;
        total += (part << shift) / 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| bad())?);
    }
    u64::try_from(total).map_err(|_| bad())
}

/// Reads a truth value as Go's flags do.
pub fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

const LIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads `name=soft[:hard]`; -1 is no limit.
pub fn ulimit(text: &str) -> Result<(String, u64, u64), String> {
    let (name, values) =
        text.split_once('=').ok_or_else(|| format!("--ulimit {text:?} must be NAME=SOFT[:HARD]"))?;
    if !LIMITS.contains(&name) {
        return Err(format!(
            "--ulimit {text:?}: there is no limit {name:?}; known are {}",
            LIMITS.join(", ")
        ));
    }
    let number = |value: &str| match value.parse::<i64>() {
        Ok(-1) => Ok(u64::MAX),
        Ok(n) if n >= 0 => Ok(n.unsigned_abs()),
        _ => Err(format!("--ulimit {text:?}: {value:?} is not a number")),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return Err(format!("--ulimit {text:?}: the soft limit is above the hard limit"));
    }
    Ok((name.to_owned(), soft, hard))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes() {
        let table = [
            ("0", 0),
            ("1000", 1000),
            ("3m", 3 << 20),
            ("64MB", 64 << 20),
            ("1.5g", 3 << 29),
            ("2 GiB", 2 << 30),
            ("7b", 7),
        ];
        for (text, want) in table {
            assert_eq!(bytes(text).unwrap(), want, "{text}");
        }
        for text in ["", "m", "-1", "1x", "1.m.2", ".5g", "99999999999999999999t"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!(ulimit("nofile=1024").unwrap(), ("nofile".into(), 1024, 1024));
        assert_eq!(ulimit("nofile=1024:2048").unwrap(), ("nofile".into(), 1024, 2048));
        assert_eq!(ulimit("core=-1").unwrap(), ("core".into(), u64::MAX, u64::MAX));
        for text in ["nofile", "nofile=x", "files=1", "nofile=3:2", "nofile=-1:5", "nofile=-2"] {
            assert!(ulimit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn truth_as_go_reads_it() {
        assert!(truth("T").unwrap() && !truth("0").unwrap());
        assert!(truth("yes").is_err());
    }
}
