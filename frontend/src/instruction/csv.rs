//! One line of comma-separated values, as the values of `--mount` and `--device` are written.

/// The fields. A field in double quotes may hold commas, and a quote as two.
pub(super) fn fields(line: &str) -> Result<Vec<String>, String> {
    let line = line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let Some(mut quoted) = rest.strip_prefix('"') else {
            let (field, behind) = match rest.split_once(',') {
                Some((field, behind)) => (field, Some(behind)),
                None => (rest, None),
            };
            if field.contains('"') {
                return Err(format!("bare \" in non-quoted field {field:?}"));
            }
            fields.push(field.to_owned());
            let Some(behind) = behind else { return Ok(fields) };
            rest = behind;
            continue;
        };
        let mut field = String::new();
        loop {
            let Some((text, behind)) = quoted.split_once('"') else {
                return Err(format!("extraneous or missing \" in quoted field {quoted:?}"));
            };
            field.push_str(text);
            quoted = behind;
            match quoted.strip_prefix('"') {
                Some(behind) => {
                    field.push('"');
                    quoted = behind;
                }
                None => break,
            }
        }
        fields.push(field);
        if quoted.is_empty() {
            return Ok(fields);
        }
        rest = quoted
            .strip_prefix(',')
            .ok_or_else(|| format!("extraneous or missing \" in quoted field {quoted:?}"))?;
    }
}
