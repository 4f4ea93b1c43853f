//! Port specifications of EXPOSE: `[[ip:]host-port:]port[-port][/protocol]`, of which only container port and protocol
//! count.

/// The ports that a word names, such as `80/tcp`; the error is a message.
pub(super) fn ports(word: &str) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = word.split(':').collect();
    let (ip, host_port, container) = match parts[..] {
        [container] => (String::new(), "", container),
        [host_port, container] => (String::new(), host_port, container),
        [ref ip @ .., host_port, container] => (ip.join(":"), host_port, container),
        [] => return Err(format!("no port specified: {word}<empty>")),
    };
    let (port, protocol) = container.split_once('/').unwrap_or((container, ""));
    if port.is_empty() {
        return Err(format!("no port specified: {container}<empty>"));
    }
    let protocol = match protocol.to_lowercase() {
        none if none.is_empty() => "tcp".to_owned(),
        known if matches!(known.as_str(), "tcp" | "udp" | "sctp") => known,
        other => return Err(format!("invalid proto: {other}")),
    };
    check_ip(&ip)?;
    let (start, end) = range(port).ok_or_else(|| format!("invalid containerPort: {port}"))?;
    if !host_port.is_empty() {
        let (host_start, host_end) =
            range(host_port).ok_or_else(|| format!("invalid hostPort: {host_port}"))?;
        if end != start && end - start != host_end - host_start {
            return Err(format!(
                "invalid ranges specified for container and host Ports: {port} and {host_port}"
            ));
        }
    }
    Ok((start..=end).map(|number| format!("{number}/{protocol}")).collect())
}

fn check_ip(ip: &str) -> Result<(), String> {
    let bare = match ip.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(|| format!("invalid IP address {ip}"))?,
        None => ip,
    };
    let valid = bare.is_empty() || bare.parse::<std::net::IpAddr>().is_ok();
    if valid { Ok(()) } else { Err(format!("invalid IP address: {bare}")) }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        if text.bytes().all(|b| b.is_ascii_digit()) { text.parse::<u16>().ok() } else { None }
    };
    match text.split_once('-') {
        None => number(text).map(|port| (port, port)),
        Some((start, end)) => number(start).zip(number(end)).filter(|(start, end)| start <= end),
    }
}

#[cfg(test)]
mod tests {
    use super::ports;

    #[test]
    fn forms() {
        for (word, want) in [
            ("80", "80/tcp"),
            ("53/UDP", "53/udp"),
            ("8000-8002/sctp", "8000/sctp 8001/sctp 8002/sctp"),
            ("127.0.0.1:1000:2000", "2000/tcp"),
            ("[::1]:1:2", "2/tcp"),
            ("3000:4000", "4000/tcp"),
            ("5000-5001:6000-6001", "6000/tcp 6001/tcp"),
            ("5000-5009:80", "80/tcp"),
            ("0", "0/tcp"),
        ] {
            assert_eq!(ports(word).map(|ports| ports.join(" ")).as_deref(), Ok(want), "{word}");
        }
        for (word, want) in [
            ("80/http", "invalid proto: http"),
            ("70000", "invalid containerPort: 70000"),
            ("x:80", "invalid hostPort: x"),
            ("1-2:5-9", "invalid ranges specified for container and host Ports: 5-9 and 1-2"),
            ("9-8", "invalid containerPort: 9-8"),
            ("nope:1:2", "invalid IP address: nope"),
            ("/tcp", "no port specified: /tcp<empty>"),
        ] {
            assert_eq!(ports(word), Err(want.to_owned()), "{word}");
        }
    }
}
