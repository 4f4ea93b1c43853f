//! Flags of the form `KEY[=VALUE]`: build arguments, labels, named contexts.

/// A lookup in our environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Build arguments. A bare `KEY` takes its value from the environment and is left out if it has none;
/// SOURCE_DATE_EPOCH is passed on from there even unasked. Proxy variables are not.
pub fn build_args(values: &[String], environment: Environment<'_>) -> Result<Vec<(String, String)>, String> {
    let mut out = Vec::new();
    for value in values {
        let (key, value) = match value.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (value.as_str(), environment(value)),
        };
        if key.is_empty() {
            return Err("--build-arg needs a name before the '='".to_owned());
        }
        if let Some(value) = value {
            out.push((key.to_owned(), value));
        }
    }
    if !out.iter().any(|(key, _)| key == "SOURCE_DATE_EPOCH")
        && let Some(epoch) = environment("SOURCE_DATE_EPOCH").filter(|v| !v.is_empty())
    {
        out.push(("SOURCE_DATE_EPOCH".to_owned(), epoch));
    }
    Ok(out)
}

/// Labels; a bare `KEY` has an empty value.
pub fn labels(values: &[String]) -> Result<Vec<(String, String)>, String> {
    values
        .iter()
        .map(|value| {
            let (key, value) = value.split_once('=').unwrap_or((value, ""));
            if key.is_empty() {
                return Err("--label needs a name before the '='".to_owned());
            }
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Named contexts.
pub fn contexts(values: &[String]) -> Result<Vec<(String, String)>, String> {
    values
        .iter()
        .map(|value| match value.split_once('=') {
            Some((name, source)) if !name.is_empty() && !source.is_empty() => {
                Ok((name.to_owned(), source.to_owned()))
            }
            _ => Err(format!("--build-context {value:?} must be NAME=SOURCE")),
        })
        .collect()
}

/// Flags that take comma lists and may be repeated.
pub fn comma_lists(values: &[String]) -> Vec<String> {
    values
        .iter()
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .filter(|v| !v.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|v| (*v).to_owned()).collect()
    }

    fn pairs(values: &[(&str, &str)]) -> Vec<(String, String)> {
        values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn bare_build_args_come_from_the_environment() {
        let environment = |key: &str| match key {
            "SET" => Some("from env".to_owned()),
            "HTTP_PROXY" => Some("http://proxy".to_owned()),
            _ => None,
        };
        let got = build_args(&strings(&["A=1", "SET", "UNSET", "E=", "X=a=b", "A=2"]), &environment).unwrap();
        assert_eq!(got, pairs(&[("A", "1"), ("SET", "from env"), ("E", ""), ("X", "a=b"), ("A", "2")]));
        assert!(build_args(&strings(&["=x"]), &environment).is_err());
    }

    #[test]
    fn source_date_epoch_is_passed_on_unless_given() {
        let environment = |key: &str| (key == "SOURCE_DATE_EPOCH").then(|| "42".to_owned());
        assert_eq!(build_args(&[], &environment).unwrap(), pairs(&[("SOURCE_DATE_EPOCH", "42")]));
        let given = strings(&["SOURCE_DATE_EPOCH=7"]);
        assert_eq!(build_args(&given, &environment).unwrap(), pairs(&[("SOURCE_DATE_EPOCH", "7")]));
    }

    #[test]
    fn labels_and_contexts() {
        assert_eq!(labels(&strings(&["a=b=c", "d"])).unwrap(), pairs(&[("a", "b=c"), ("d", "")]));
        assert!(labels(&strings(&["=x"])).is_err());
        assert_eq!(
            contexts(&strings(&["b=oci-layout://x:y@z"])).unwrap(),
            pairs(&[("b", "oci-layout://x:y@z")])
        );
        for bad in ["a", "a=", "=b"] {
            assert!(contexts(&strings(&[bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn comma_lists_are_flattened() {
        assert_eq!(comma_lists(&strings(&["a,b", " c", ""])), ["a", "b", "c"]);
    }
}
