//! The comma-separated form of flag values, with quotes: `type=image,"name=a,b"`.

/// Splits one record as RFC 4180 does: fields may be quoted, a doubled quote stands for one.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        let mut field = String::new();
        if chars.peek() == Some(&'"') {
            chars.next();
            loop {
                match chars.next() {
                    Some('"') if chars.peek() == Some(&'"') => {
                        chars.next();
                        field.push('"');
                    }
                    Some('"') => break,
                    Some(c) => field.push(c),
                    None => return Err(format!("a quote in {text:?} is not closed")),
                }
            }
            if !matches!(chars.peek(), None | Some(',')) {
                return Err(format!("text follows a closing quote in {text:?}"));
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                if c == '"' {
                    return Err(format!("a quote in {text:?} does not stand at the start of its field"));
                }
                field.push(c);
            }
        }
        fields.push(field);
        if chars.next().is_none() {
            return Ok(fields);
        }
    }
}

/// Writes fields so that [`split`] gives them back.
pub fn join(fields: &[String]) -> String {
    let quoted = fields.iter().map(|field| {
        if field.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(",")
}

/// Splits a record of `key=value` fields; keys are lower-cased.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    split(text)?
        .into_iter()
        .map(|field| match field.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_lowercase(), value.to_owned())),
            None => Err(format!("field {field:?} in {text:?} must be a key=value pair")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn splits_quoted_fields() {
        let table: &[(&str, &[&str])] = &[
            ("", &[""]),
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            ("a,", &["a", ""]),
            ("type=image,\"name=x,y\"", &["type=image", "name=x,y"]),
            ("\"say \"\"hi\"\"\",b", &["say \"hi\"", "b"]),
            ("\"\",b", &["", "b"]),
        ];
        for (text, want) in table {
            assert_eq!(split(text).unwrap(), *want, "{text}");
        }
    }

    #[test]
    fn refuses_broken_quotes() {
        for text in ["\"a", "\"a\"b", "a\"b\""] {
            assert!(split(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_joined_splits_again() {
        let fields = ["a", "b,c", "say \"x\"", "", "two\nlines"].map(str::to_owned);
        assert_eq!(split(&join(&fields)).unwrap(), fields);
    }

    #[test]
    fn pairs_need_an_equals_sign() {
        assert_eq!(pairs("ID=x,src=a=b").unwrap(), [("id".into(), "x".into()), ("src".into(), "a=b".into())]);
        assert!(pairs("id=x,oops").unwrap_err().contains("\"oops\""));
    }
}
