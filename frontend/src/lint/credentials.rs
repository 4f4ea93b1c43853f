//! Values that are credentials by their look.

/// What a value looks like, with an article; `None` for ordinary text. Only forms that issuers gave their
/// credentials so that they can be recognised: a prefix, and a tail of a known length and alphabet.
pub(crate) fn secret_kind(value: &str) -> Option<&'static str> {
    let value = value.trim();
    if value.contains("-----BEGIN ") && value.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    if is_web_token(value) {
        return Some("a signed web token");
    }
    if let Some(kind) = with_password(value) {
        return Some(kind);
    }
    let found = PREFIXES.iter().find(|(prefix, least, _)| {
        value.strip_prefix(prefix).is_some_and(|tail| {
            tail.len() >= *least
                && tail.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
                && is_random(tail)
        })
    });
    found.map(|(_, _, kind)| *kind)
}

/// Prefix, least length of what follows, and what it is.
const PREFIXES: [(&str, usize, &str); 24] = [
    ("AKIA", 16, "an AWS access key"),
    ("ASIA", 16, "an AWS access key"),
    ("ghp_", 36, "a GitHub token"),
    ("gho_", 36, "a GitHub token"),
    ("ghu_", 36, "a GitHub token"),
    ("ghs_", 36, "a GitHub token"),
    ("ghr_", 36, "a GitHub token"),
    ("github_pat_", 40, "a GitHub token"),
    ("glpat-", 20, "a GitLab token"),
    ("xoxb-", 20, "a Slack token"),
    ("xoxp-", 20, "a Slack token"),
    ("xapp-", 20, "a Slack token"),
    ("sk_live_", 20, "a Stripe key"),
    ("rk_live_", 20, "a Stripe key"),
    ("sk-ant-", 40, "an Anthropic key"),
    ("sk-proj-", 40, "an OpenAI key"),
    ("AIza", 35, "a Google API key"),
    ("ya29.", 30, "a Google access token"),
    ("npm_", 36, "an npm token"),
    ("pypi-AgE", 40, "a PyPI token"),
    ("dckr_pat_", 20, "a Docker Hub token"),
    ("hf_", 30, "a Hugging Face token"),
    ("SG.", 40, "a SendGrid key"),
    ("dop_v1_", 40, "a DigitalOcean token"),
];

/// Not a placeholder: has digits and letters, many different ones, and does not call itself an example.
fn is_random(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    if ["example", "your", "xxxx", "dummy", "placeholder", "changeme", "0123456"]
        .iter()
        .any(|word| lower.contains(word))
    {
        return false;
    }
    let mut different: Vec<u8> = lower.bytes().collect();
    different.sort_unstable();
    different.dedup();
    let digits = text.bytes().any(|byte| byte.is_ascii_digit());
    let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    digits && letters && different.len() >= 8
}

/// Three parts of URL-safe base64, of which the first two start as JSON objects do.
fn is_web_token(value: &str) -> bool {
    let parts: Vec<&str> = value.split('.').collect();
    let [head, body, signature] = parts[..] else { return false };
    let is_base64 =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    head.starts_with("eyJ")
        && body.starts_with("eyJ")
        && signature.len() >= 20
        && parts.iter().all(|part| is_base64(part))
}

/// A web address with a password that is long and random.
fn with_password(value: &str) -> Option<&'static str> {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"))?;
    let (user, _) = rest.split('/').next()?.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (password.len() >= 16 && is_random(password)).then_some("an address with a password")
}

#[cfg(test)]
mod tests {
    use super::secret_kind;

    #[test]
    fn credentials_are_recognised() {
        // Put together here, so that no scanner of this repository takes them for real ones.
        let tail = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0";
        for (prefix, length) in [("ghp_", 36), ("glpat-", 20), ("npm_", 36), ("AIza", 35), ("sk_live_", 24)] {
            assert!(secret_kind(&format!("{prefix}{}", &tail[..length])).is_some(), "{prefix}");
        }
        assert!(secret_kind(&format!("AKIA{}", "Q3EGTIZX7W5PLMN2")).is_some());
        assert!(secret_kind("-----BEGIN RSA PRIVATE KEY-----\nMII").is_some());
        assert!(secret_kind(&format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{tail}")).is_some());
        assert!(secret_kind("https://bot:4f9a8b7c6d5e3f2a1b@git.example/x").is_some());
    }

    #[test]
    fn ordinary_values_are_not() {
        for value in [
            "",
            "1.2.3",
            "password",
            "AKIAIOSFODNN7EXAMPLE",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "ghp_short",
            "npm_config_registry",
            "sk-learn",
            "https://registry.example/x",
            "https://user:password@proxy.example:3128",
            "postgres://app:app@db/app",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "AIzaSy",
            "hf_hub_download",
        ] {
            assert_eq!(secret_kind(value), None, "{value}");
        }
    }
}
