//! Names of signals, for STOPSIGNAL.

const NAMES: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Whether `text` is a number other than zero or a known name, with or without `SIG`, in any case.
pub(super) fn is_signal(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return digits.parse::<i64>().is_ok_and(|number| number != 0);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |prefix: &str, highest: u32| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            rest.parse::<u32>().is_ok_and(|n| (1..=highest).contains(&n) && rest == n.to_string())
        })
    };
    NAMES.contains(&name) || offset("RTMIN+", 15) || offset("RTMAX-", 14)
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn names_and_numbers() {
        for good in ["SIGTERM", "term", "9", "sigkill", "rtmin+3", "SIGRTMAX-14"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "SIGNOPE", "RTMIN+16", "RTMIN+03", "RTMAX-15", "SIG"] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
