//! Input: a pattern, a line break, a name. Matching never panics, and the name does not decide whether the pattern is
//! well formed; cleaning a clean path changes nothing.
#![no_main]

use cooper_frontend::gopath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (pattern, name) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());

    let matched = gopath::matches(pattern, name);
    assert_eq!(matched.is_err(), gopath::matches(pattern, b"").is_err());
    if !gopath::has_wildcard(pattern) && !pattern.contains(&b'\\') {
        assert_eq!(matched, Ok(pattern == name));
        assert_eq!(gopath::matches(pattern, pattern), Ok(true));
    }

    for path in [pattern, name] {
        let clean = gopath::clean(path);
        assert_eq!(gopath::clean(&clean), clean);
        assert_eq!(path.starts_with(b"/"), clean.starts_with(b"/"));
        assert!(!gopath::base(path).is_empty());
        let dir = gopath::dir(path);
        assert_eq!(gopath::clean(&dir), dir);
        if let Ok(text) = std::str::from_utf8(path) {
            assert_eq!(gopath::clean_str(text).as_bytes(), clean);
            let _ = gopath::join(&[text, "..", text]);
        }
    }
});
