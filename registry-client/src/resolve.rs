//! Looking up the addresses of names.
//!
//! Owns two rules. What only an answer named is connected to in allowed ranges alone (`reach`). And a dead address must
//! not hold up a living one: the HTTP library tries the second family of addresses soon after the first, but those of
//! one family only one after the other, each until its time is up. So of several IPv4 addresses all but the first are
//! given in their IPv6 form, as a family of their own.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::LazyLock;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::reach::{Range, Ranges, Refused};

/// The resolver of one HTTP client.
pub(crate) struct Resolver {
    /// `None`: any.
    pub(crate) allowed: Option<Ranges>,
    /// The name of the proxy, which may be anywhere.
    pub(crate) exempt: Option<String>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let named = self.exempt.as_ref().is_some_and(|proxy| proxy.eq_ignore_ascii_case(&host));
        let allowed = self.allowed.filter(|_| !named);
        Box::pin(async move {
            let mut found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if let Some(allowed) = allowed {
                let first = found.first().copied();
                found.retain(|address| allowed.hold(Range::of(address.ip())));
                if let (true, Some(first)) = (found.is_empty(), first) {
                    let range = Range::of(first.ip());
                    return Err(Refused { host, address: Some(first.ip()), range }.into());
                }
            }
            set_apart(&mut found);
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether IPv4 can be spoken by IPv6 sockets here. Nothing is sent to find out.
static MAPPED_WORKS: LazyLock<bool> = LazyLock::new(|| {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0));
    socket.is_ok_and(|s| s.connect((std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 9)).is_ok())
});

fn set_apart(addresses: &mut [SocketAddr]) {
    if addresses.len() < 2 || !addresses.iter().all(SocketAddr::is_ipv4) || !*MAPPED_WORKS {
        return;
    }
    for address in &mut addresses[1..] {
        if let SocketAddr::V4(v4) = address {
            *address = (v4.ip().to_ipv6_mapped(), v4.port()).into();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_family_becomes_two() {
        if !*MAPPED_WORKS {
            return;
        }
        let table: [(&[&str], &[&str]); 3] = [
            (&["1.2.3.4:0"], &["1.2.3.4:0"]),
            (&["1.2.3.4:0", "1.2.3.5:0"], &["1.2.3.4:0", "[::ffff:1.2.3.5]:0"]),
            (&["[2606::1]:0", "1.2.3.5:0", "1.2.3.6:0"], &["[2606::1]:0", "1.2.3.5:0", "1.2.3.6:0"]),
        ];
        for (given, want) in table {
            let parse = |all: &[&str]| all.iter().map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
            let mut addresses = parse(given);
            set_apart(&mut addresses);
            assert_eq!(addresses, parse(want));
        }
    }
}
