//! Where the answers of a registry may lead.
//!
//! A registry names other hosts: token services, stores behind redirects, addresses of uploads. What the user named
//! (registries, mirrors, proxies) may be anywhere; what only an answer named must not bring us to the services of this
//! machine or of its network. Owns the ranges of addresses and the [`NetworkPolicy`]. The addresses that are really
//! connected to are judged (`resolve`), so a name that changes its mind gains nothing. A proxy looks up names itself:
//! behind one, only addresses in numbers can be judged.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Host;

/// What the answers of a registry may lead to. In any case also to the range of addresses that the registry itself is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkPolicy {
    /// Anything but this machine and link-local addresses, where clouds hand out credentials.
    #[default]
    Usual,
    /// Public addresses only, for machines whose network has services that must not be reached.
    Public,
}

impl NetworkPolicy {
    pub(crate) fn ranges(self) -> Ranges {
        let public = Ranges::NONE.and(Range::Public);
        match self {
            Self::Usual => public.and(Range::Private).and(Range::Special),
            Self::Public => public,
        }
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    Public,
    /// Of a network that is not the internet's.
    Private,
    /// This machine.
    Loopback,
    LinkLocal,
    /// For many, for documentation, or for later.
    Special,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Private => "an address of a private network",
            Self::Loopback => "this machine",
            Self::LinkLocal => "a link-local address",
            Self::Special => "no host's address",
        })
    }
}

impl Range {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    /// `None` for a name that must be looked up.
    pub(crate) fn of_host(host: &Host<&str>) -> Option<Self> {
        match host {
            Host::Ipv4(address) => Some(Self::of_v4(*address)),
            Host::Ipv6(address) => Some(Self::of_v6(*address)),
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                let local = name == "localhost" || name.ends_with(".localhost");
                local.then_some(Self::Loopback)
            }
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            // All of the first are this machine to most systems.
            [0 | 127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            // The second is for carriers' own networks, the last for tests of equipment.
            [10, ..] | [100, 64..=127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [198, 18 | 19, ..] => {
                Self::Private
            }
            [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [224..=255, ..] => Self::Special,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let v4 = |high: u16, low: u16| Self::of_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Self::Loopback,
            // IPv4 in other forms: compatible, mapped, translated, by NAT64, 6to4.
            [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
            | [0, 0, 0, 0, 0xffff, 0, high, low]
            | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            | [0x2002, high, low, ..] => v4(high, low),
            [0x64, 0xff9b, ..] => Self::Private,
            [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Self::Private,
            [first, ..] if first & 0xffc0 == 0xfe80 => Self::LinkLocal,
            // Teredo, documentation, multicast.
            [0x2001, 0 | 0xdb8, ..] | [0x3fff | 0xff00..=0xffff, ..] => Self::Special,
            _ => Self::Public,
        }
    }
}

/// Several ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ranges(u8);

impl Ranges {
    pub(crate) const NONE: Self = Self(0);

    #[must_use]
    pub(crate) fn and(self, range: Range) -> Self {
        Self(self.0 | 1 << range as u8)
    }

    pub(crate) fn hold(self, range: Range) -> bool {
        self.0 & (1 << range as u8) != 0
    }
}

/// Why a host is not connected to.
#[derive(Debug, Clone, thiserror::Error)]
#[error("leads to {host}{}, {range}, which no answer may lead to", address.map(|a| format!(" ({a})")).unwrap_or_default())]
pub(crate) struct Refused {
    pub(crate) host: String,
    /// Where a name leads.
    pub(crate) address: Option<IpAddr>,
    pub(crate) range: Range,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses_have_ranges() {
        use Range::{LinkLocal, Loopback, Private, Public, Special};
        let table = [
            ("8.8.8.8", Public),
            ("127.0.0.1", Loopback),
            ("127.255.0.9", Loopback),
            ("0.0.0.0", Loopback),
            ("10.1.2.3", Private),
            ("172.15.0.1", Public),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("172.32.0.1", Public),
            ("192.168.0.1", Private),
            ("100.63.0.1", Public),
            ("100.64.0.1", Private),
            ("198.19.0.1", Private),
            ("169.254.169.254", LinkLocal),
            ("192.0.2.1", Special),
            ("224.0.0.1", Special),
            ("255.255.255.255", Special),
            ("::", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:10.0.0.1", Private),
            ("::ffff:169.254.169.254", LinkLocal),
            ("::ffff:0:10.0.0.1", Private),
            ("::10.0.0.1", Private),
            ("::ffff:8.8.8.8", Public),
            ("64:ff9b::a9fe:a9fe", LinkLocal),
            ("64:ff9b::808:808", Public),
            ("64:ff9b:1::808:808", Private),
            ("2002:a00:1::1", Private),
            ("2002:808:808::1", Public),
            ("fd00:ec2::254", Private),
            ("fec0::1", Private),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("ff02::1", Special),
            ("2001:db8::1", Special),
            ("2001::1", Special),
            ("2606:4700::1", Public),
        ];
        for (address, want) in table {
            assert_eq!(Range::of(address.parse().unwrap()), want, "{address}");
        }
        let names = [("localhost", Some(Loopback)), ("x.localhost.", Some(Loopback)), ("reg.test", None)];
        for (name, want) in names {
            assert_eq!(Range::of_host(&Host::Domain(name)), want, "{name}");
        }
    }

    #[test]
    fn policies_allow_ranges() {
        let table = [
            (Range::Public, true, true),
            (Range::Private, true, false),
            (Range::Special, true, false),
            (Range::Loopback, false, false),
            (Range::LinkLocal, false, false),
        ];
        for (range, usual, public) in table {
            assert_eq!(NetworkPolicy::Usual.ranges().hold(range), usual, "{range}");
            assert_eq!(NetworkPolicy::Public.ranges().hold(range), public, "{range}");
            assert!(NetworkPolicy::Public.ranges().and(range).hold(range));
        }
    }
}
