//! What is wrong with a server's certificate, in words for people.

use cooper_oci::format_rfc3339;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;
use url::Url;

use crate::causes::causes;
use crate::error::printable;

/// The most names of a certificate that are told.
const NAMES: usize = 5;

/// What is wrong with a certificate, if that is why a request failed.
pub(crate) fn trouble(error: &reqwest::Error) -> Option<&CertificateError> {
    causes(error).find_map(|cause| match cause.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(trouble)) => Some(trouble),
        _ => None,
    })
}

/// Whose certificate it is: a registry's, or that of a host that it led to.
pub(crate) fn owner(url: Option<&Url>) -> String {
    let host = url.and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    host.map_or_else(|| "the server".to_owned(), |(name, port)| format!("{name}:{port}"))
}

/// `expired on …`.
pub(crate) fn words(trouble: &CertificateError) -> String {
    match trouble {
        CertificateError::ExpiredContext { not_after, .. } => format!("expired on {}", time(*not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}", time(*not_before))
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("is not for that name, but for {}", names(presented))
        }
        CertificateError::UnknownIssuer => {
            "is signed by itself or by an authority that is not known here".to_owned()
        }
        CertificateError::BadSignature => "is not signed by the authority that it names".to_owned(),
        // These have no variants of their own.
        CertificateError::Other(other) => {
            let text = format!("{other:?}");
            if text.contains("NameConstraintViolation") {
                "is signed by an authority that may not vouch for its names".to_owned()
            } else if text.contains("CaUsedAsEndEntity") {
                "is an authority's own, and not a server's".to_owned()
            } else {
                format!("cannot be trusted: {}", printable(&text))
            }
        }
        other => format!("cannot be trusted: {}", printable(&other.to_string())),
    }
}

fn time(time: UnixTime) -> String {
    i64::try_from(time.as_secs()).map_or_else(|_| "a day far away".to_owned(), |secs| format_rfc3339(secs, 0))
}

/// Names as the TLS library tells them: `DnsName("reg.test")`, `IpAddress(127.0.0.1)`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        printable(inner.trim_matches('"'))
    };
    match presented {
        [] => "none".to_owned(),
        few if few.len() <= NAMES => few.iter().map(bare).collect::<Vec<_>>().join(", "),
        many => {
            let told = many.iter().take(NAMES).map(bare).collect::<Vec<_>>().join(", ");
            format!("{told} and {} more", many.len() - NAMES)
        }
    }
}
