//! `--add-host`: extra lines of /etc/hosts.

use std::net::IpAddr;

/// Where this machine is for a RUN, which has its network.
const HOST_GATEWAY: &str = "127.0.0.1";

/// Reads `host:ip`, `host=ip`, with the address in brackets or not.
pub fn parse(text: &str) -> Result<(String, String), String> {
    let bad = || format!("--add-host {text:?} must be HOST=IP or HOST:IP");
    // An `=` decides: an IPv6 address has colons itself.
    let (host, address) = text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(bad)?;
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(bad());
    }
    if address == "host-gateway" {
        return Ok((host.to_owned(), HOST_GATEWAY.to_owned()));
    }
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    let ip: IpAddr =
        bare.parse().map_err(|_| format!("--add-host {text:?}: {address:?} is not an IP address"))?;
    Ok((host.to_owned(), ip.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn forms() {
        let table = [
            ("a:10.0.0.1", ("a", "10.0.0.1")),
            ("a=10.0.0.1", ("a", "10.0.0.1")),
            ("a:::1", ("a", "::1")),
            ("a:[::1]", ("a", "::1")),
            ("a=fe80::1", ("a", "fe80::1")),
            ("a=[2001:DB8::1]", ("a", "2001:db8::1")),
            ("a:host-gateway", ("a", "127.0.0.1")),
        ];
        for (text, (host, ip)) in table {
            assert_eq!(parse(text).unwrap(), (host.to_owned(), ip.to_owned()), "{text}");
        }
        for text in ["a", "a:", "a=x", ":1.2.3.4", "a b:1.2.3.4", "a:host-gateways", "a:[::1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
