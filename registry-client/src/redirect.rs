//! Where a redirect may go: to another scheme never, to less than TLS never back. Which addresses are allowed is judged
//! when they are connected to (`reach`).

use reqwest::header::{HeaderMap, LOCATION};
use url::Url;

/// The next hop.
pub(crate) fn target(from: &Url, headers: &HeaderMap) -> Result<Url, &'static str> {
    let location =
        headers.get(LOCATION).and_then(|v| v.to_str().ok()).ok_or("redirect without a location")?;
    let next = from.join(location).map_err(|_| "redirect to something that is no URL")?;
    if next.host().is_none() {
        return Err("redirect to something that is no URL");
    }
    match next.scheme() {
        "https" => {}
        "http" if from.scheme() == "http" => {}
        "http" => return Err("redirect from https to http refused"),
        _ => return Err("redirect to another scheme than https refused"),
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err("redirect with a user name refused");
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn redirects_stay_at_least_as_safe() {
        let next = |from: &str, to: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, to.parse().unwrap());
            target(&Url::parse(from).unwrap(), &headers).map(|u| u.to_string())
        };
        let from = "https://reg.test/v2/a/blobs/x";
        assert_eq!(next(from, "https://cdn.test/x?sig=1").unwrap(), "https://cdn.test/x?sig=1");
        assert_eq!(next(from, "../manifests/y").unwrap(), "https://reg.test/v2/a/manifests/y");
        for bad in ["http://reg.test/x", "ftp://reg.test/x", "https://u:p@reg.test/x", "https://"] {
            assert!(next(from, bad).is_err(), "{bad}");
        }
        assert!(next("http://localhost:5000/x", "http://127.0.0.1:6000/y").is_ok());
    }
}
