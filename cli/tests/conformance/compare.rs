//! What two JSON documents do not agree on.

use serde_json::Value;

/// One line for each place where `got` is not what is wanted.
pub fn differences(want: &Value, got: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(want, got, "", &mut found);
    found
}

fn compare(want: &Value, got: &Value, path: &str, found: &mut Vec<String>) {
    let (Value::Object(wanted), Value::Object(have)) = (want, got) else {
        if want != got {
            found.push(format!("{path}: want {}, got {}", short(want), short(got)));
        }
        return;
    };
    for (key, value) in wanted {
        match have.get(key) {
            Some(other) => compare(value, other, &format!("{path}/{key}"), found),
            None => found.push(format!("{path}/{key}: missing, want {}", short(value))),
        }
    }
    for (key, value) in have {
        if !wanted.contains_key(key) {
            found.push(format!("{path}/{key}: not expected: {}", short(value)));
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[test]
fn every_kind_of_difference_is_named_with_its_place() {
    let want = serde_json::json!({ "a": 1, "b": { "c": [1, 2], "d": "x" }, "same": null });
    let got = serde_json::json!({ "b": { "c": [2, 1], "d": "x", "e": {} }, "same": null });
    let found = differences(&want, &got);
    assert_eq!(found, ["/a: missing, want 1", "/b/c: want [1,2], got [2,1]", "/b/e: not expected: {}"]);
}
