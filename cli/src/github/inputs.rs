//! Inputs of the action, read from `INPUT_*` variables, turned into flags of `build`.
//!
//! Every value becomes one word `--flag=value`, so that no value can pose as a flag.

use crate::flags::csv;
use crate::flags::pairs::Environment;
use crate::flags::units::truth;

/// A secret whose value stands in an input.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its id.
    pub id: String,
    /// Its value. Never printed except to mask it.
    pub value: String,
}

/// All inputs.
pub struct Inputs {
    /// Words for the command line of `build`, without the secrets of `secrets`.
    pub words: Vec<String>,
    /// Secrets given by value.
    pub secrets: Vec<Secret>,
}

/// Inputs that are one value.
const SINGLE: [(&str, &str); 10] = [
    ("FILE", "file"),
    ("TARGET", "target"),
    ("NETWORK", "network"),
    ("SHM_SIZE", "shm-size"),
    ("NO_CACHE", "no-cache"),
    ("PULL", "pull"),
    ("PUSH", "push"),
    ("LOAD", "load"),
    ("CALL", "call"),
    ("CHECK", "check"),
];

/// Inputs with one value a line; whether commas separate, too.
const LISTS: [(&str, &str, bool); 10] = [
    ("TAGS", "tag", true),
    ("LABELS", "label", false),
    ("BUILD_ARGS", "build-arg", false),
    ("BUILD_CONTEXTS", "build-context", false),
    ("PLATFORMS", "platform", true),
    ("OUTPUTS", "output", false),
    ("NO_CACHE_FILTERS", "no-cache-filter", true),
    ("ADD_HOSTS", "add-host", true),
    ("ULIMIT", "ulimit", false),
    ("ALLOW", "allow", true),
];

/// Reads the inputs.
pub fn read(environment: Environment<'_>) -> Result<Inputs, String> {
    let input = |name: &str| environment(&format!("INPUT_{name}")).unwrap_or_default();
    let mut words = Vec::new();
    for (name, flag) in SINGLE {
        let value = input(name).trim().to_owned();
        if value.is_empty() {
            continue;
        }
        if matches!(name, "NO_CACHE" | "PULL" | "PUSH" | "LOAD" | "CHECK") {
            truth(&value).map_err(|e| format!("input {flag}: {e}"))?;
        }
        words.push(format!("--{flag}={value}"));
    }
    for (name, flag, commas) in LISTS {
        words.extend(list(&input(name), commas).into_iter().map(|value| format!("--{flag}={value}")));
    }
    let mut secrets = Vec::new();
    for item in list(&input("SECRETS"), false) {
        match item.split_once('=') {
            Some((id, value)) if !id.is_empty() && !value.is_empty() => {
                secrets.push(Secret { id: id.to_owned(), value: value.to_owned() });
            }
            // The item itself may be secret: it is not shown.
            _ => return Err("input secrets: every line must be ID=VALUE".to_owned()),
        }
    }
    for (name, flag, key) in [("SECRET_FILES", "secret-files", "src"), ("SECRET_ENVS", "secret-envs", "env")]
    {
        for item in list(&input(name), false) {
            let (id, source) =
                item.split_once('=').ok_or_else(|| format!("input {flag}: {item:?} must be ID=VALUE"))?;
            words.push(secret_flag(id, key, source));
        }
    }
    words.push("--".to_owned());
    let context = input("CONTEXT").trim().to_owned();
    words.push(if context.is_empty() { ".".to_owned() } else { context });
    Ok(Inputs { words, secrets })
}

/// A `--secret` flag.
pub fn secret_flag(id: &str, key: &str, source: &str) -> String {
    format!("--secret={}", csv::join(&[format!("id={id}"), format!("{key}={source}")]))
}

/// Splits an input into its lines (and at commas, if they separate). A line that starts with a quote runs to the
/// closing one, over line breaks; a doubled quote stands for one. Lines starting with `#` are comments.
fn list(text: &str, commas: bool) -> Vec<String> {
    let mut items = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        let mut item = String::new();
        if c == '"' {
            chars.next();
            while let Some(c) = chars.next() {
                if c != '"' {
                    item.push(c);
                } else if chars.next_if_eq(&'"').is_some() {
                    item.push('"');
                } else {
                    break;
                }
            }
            // Nothing sensible can follow the closing quote on its line.
            while chars.next_if(|c| *c != '\n').is_some() {}
        } else {
            while let Some(c) = chars.next_if(|c| *c != '\n' && !(commas && *c == ',')) {
                item.push(c);
            }
            let bare = item.trim();
            item = if bare.starts_with('#') { String::new() } else { bare.to_owned() };
        }
        chars.next();
        if !item.is_empty() {
            items.push(item);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn inputs(values: &[(&str, &str)]) -> Result<Inputs, String> {
        let values: Vec<_> = values.iter().map(|(k, v)| (format!("INPUT_{k}"), (*v).to_owned())).collect();
        read(&|key| values.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone()))
    }

    #[test]
    fn lists_are_lines() {
        let table: &[(&str, bool, &[&str])] = &[
            ("", true, &[]),
            ("a\nb\n", true, &["a", "b"]),
            ("a, b,\n c", true, &["a", "b", "c"]),
            ("A=1,2\n  B=x y \n\n# no\n", false, &["A=1,2", "B=x y"]),
            ("\"K=line one\nline \"\"two\"\"\"\nB=2", false, &["K=line one\nline \"two\"", "B=2"]),
            ("a\r\nb\r\n", false, &["a", "b"]),
        ];
        for (text, commas, want) in table {
            assert_eq!(list(text, *commas), *want, "{text:?}");
        }
    }

    #[test]
    fn inputs_become_flags() {
        let got = inputs(&[
            ("CONTEXT", "app"),
            ("FILE", "app/Dockerfile"),
            ("TAGS", "a:1\nb:2,c:3"),
            ("LABELS", "x=1,2"),
            ("BUILD_ARGS", "A=--push\nB=2"),
            ("PLATFORMS", "linux/amd64"),
            ("OUTPUTS", "type=oci,dest=x.tar"),
            ("PUSH", "true"),
            ("LOAD", "false"),
            ("NETWORK", ""),
            ("SECRET_FILES", "key=a,b.pem"),
            ("SECRET_ENVS", "tok=TOKEN"),
        ])
        .unwrap();
        let want = [
            "--file=app/Dockerfile",
            "--push=true",
            "--load=false",
            "--tag=a:1",
            "--tag=b:2",
            "--tag=c:3",
            "--label=x=1,2",
            "--build-arg=A=--push",
            "--build-arg=B=2",
            "--platform=linux/amd64",
            "--output=type=oci,dest=x.tar",
            "--secret=id=key,\"src=a,b.pem\"",
            "--secret=id=tok,env=TOKEN",
            "--",
            "app",
        ];
        assert_eq!(got.words, want);
        assert_eq!(inputs(&[]).unwrap().words, ["--", "."]);
    }

    #[test]
    fn secrets_are_kept_apart_and_never_shown() {
        let got = inputs(&[("SECRETS", "token=a=b,c\n\"pem=-----\nline\n-----\"")]).unwrap();
        let pairs: Vec<_> = got.secrets.iter().map(|s| (s.id.as_str(), s.value.as_str())).collect();
        assert_eq!(pairs, [("token", "a=b,c"), ("pem", "-----\nline\n-----")]);
        assert!(got.words.iter().all(|w| !w.contains("a=b,c")));
        let error = inputs(&[("SECRETS", "hunter2")]).err().unwrap();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn all_that_is_read_is_an_input_of_the_action() {
        let action = include_str!("../../../action.yml");
        let single = SINGLE.iter().map(|(name, _)| *name);
        let lists = LISTS.iter().map(|(name, ..)| *name);
        for name in single.chain(lists).chain(["CONTEXT", "SECRETS", "SECRET_FILES", "SECRET_ENVS"]) {
            assert!(action.contains(&format!("INPUT_{name}: ")), "action.yml lacks {name}");
        }
    }

    #[test]
    fn truth_values_are_checked() {
        assert!(inputs(&[("PUSH", "yes")]).err().unwrap().contains("input push"));
    }
}
