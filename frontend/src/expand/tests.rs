//! Expansion by behaviour.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::{Expander, Lexer, NoEnv};

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn usual() -> BTreeMap<String, String> {
    env(&[
        ("home", "/srv/app"),
        ("empty", ""),
        ("blanks", " one  two "),
        ("file", "dist/app-1.2.tar.gz"),
        ("dashes", "a-b-c"),
        ("star", "*"),
        ("lines", "first\nsecond"),
        ("group", "${0}!${1}$x"),
    ])
}

#[track_caller]
fn word(text: &str, expected: &str) {
    assert_eq!(Expander::new('\\').word(text, &usual()).map(|e| e.value), Ok(expected.to_owned()), "{text}");
}

#[track_caller]
fn fails(text: &str, message: &str) {
    let error = Expander::new('\\').word(text, &usual()).unwrap_err();
    assert_eq!(error.message, message, "{text}");
    assert_eq!(error.text, text);
}

#[test]
fn names_end_where_no_letter_digit_or_underscore_follows() {
    word("$home/x", "/srv/app/x");
    word("${home}x", "/srv/appx");
    word("$homex", "");
    word("$home.x", "/srv/app.x");
    word("a$", "a$");
    word("$.x", "$.x");
    word("$ x", "$ x");
}

#[test]
fn positional_and_special_parameters_are_empty() {
    for special in ["$1", "$0", "$@", "$*", "$#", "$?", "$-", "$$", "$!", "${12}"] {
        word(&format!("[{special}]"), "[]");
    }
    word("$12x", "x");
}

#[test]
fn defaults_and_alternatives() {
    let cases = [
        ("${unset:-d}", "d"),
        ("${empty:-d}", "d"),
        ("${home:-d}", "/srv/app"),
        ("${unset-d}", "d"),
        ("${empty-d}", ""),
        ("${unset:+a}", ""),
        ("${empty:+a}", ""),
        ("${home:+a}", "a"),
        ("${unset+a}", ""),
        ("${empty+a}", "a"),
        ("${unset:-${unset:-$home}}", "/srv/app"),
        ("${unset:-a b}", "a b"),
        ("${unset:-\"a }\"}", "a }"),
        ("${unset:-a\\}b}", "a}b"),
        ("${empty?no}", ""),
        ("${home:?no}", "/srv/app"),
    ];
    for (text, expected) in cases {
        word(text, expected);
    }
}

#[test]
fn required_variables_fail_with_their_message() {
    fails("${unset?}", "unset: is not allowed to be unset");
    fails("${unset:?}", "unset: is not allowed to be unset");
    fails("${empty:?}", "empty: is not allowed to be empty");
    fails("${unset:?set it to $home}", "unset: set it to /srv/app");
    let error = Expander::new('\\').word("${x?y}", &usual()).unwrap_err();
    assert_eq!(error.to_string(), "failed to process \"${x?y}\": x: y");
}

#[test]
fn prefixes_and_suffixes() {
    let cases = [
        ("${file#*/}", "app-1.2.tar.gz"),
        ("${file##*.}", "gz"),
        ("${file%.*}", "dist/app-1.2.tar"),
        ("${file%%.*}", "dist/app-1"),
        ("${file%/*}", "dist"),
        ("${file#????}", "/app-1.2.tar.gz"),
        ("${file#app}", "dist/app-1.2.tar.gz"),
        ("[${file##*}]", "[]"),
        ("${file%\\*}", "dist/app-1.2.tar.gz"),
        ("${star#\\*}", ""),
        ("${file#${unset:-dist}}", "/app-1.2.tar.gz"),
        ("${dashes#\"a-\"}", "b-c"),
        ("${unset#x}", ""),
        ("${unset##x}", ""),
    ];
    for (text, expected) in cases {
        word(text, expected);
    }
    fails("${file#a\\bc}", "invalid pattern (a\\bc) in substitution: invalid escape '\\b'");
}

#[test]
fn replacements() {
    let cases = [
        ("${dashes/-/_}", "a_b-c"),
        ("${dashes//-/_}", "a_b_c"),
        ("${dashes/-*/!}", "a!"),
        ("${dashes//-}/x}", "a-b-c"),
        ("${dashes/b/${home}}", "a-/srv/app-c"),
        ("${home/\\//:}", ":srv/app"),
        ("${home//\\//:}", ":srv:app"),
        ("${dashes/-/\\/}", "a\\/b-c"),
        ("${dashes//[ab]/x}", "a-b-c"),
        ("${dashes/b/[&]}", "a-[&]-c"),
        ("${dashes/b/\\$0}", "a-\\$0-c"),
        ("${dashes//b/\\$0}", "a-\\b-c"),
        ("${dashes//b/$group}", "a-b!-c"),
        ("${dashes//b/\\$$}", "a-\\$-c"),
        ("${dashes//b/\\$name}", "a-\\-c"),
        ("${lines//.*/x}", "first\nsecond"),
        ("${lines/*/x}", "x\nsecond"),
    ];
    for (text, expected) in cases {
        word(text, expected);
    }
}

#[test]
fn quotes_and_escapes() {
    let cases = [
        ("'$home'", "$home"),
        ("\"$home\"", "/srv/app"),
        ("a'b'\"c\"d", "abcd"),
        ("\\$home", "$home"),
        ("\"\\$home \\\" \\\\ \\n\"", "$home \" \\ \\n"),
        ("\\n\\t", "nt"),
        ("x\\", "x"),
        ("it\\'s", "it's"),
        ("\"it's\"", "it's"),
        ("'a\\'", "a\\"),
        ("  a  b  ", "  a  b  "),
        ("a << b", "a << b"),
    ];
    for (text, expected) in cases {
        word(text, expected);
    }
}

#[test]
fn the_other_escape_character() {
    let expand = |text| Expander::new('`').word(text, &usual()).unwrap().value;
    assert_eq!(expand("c:\\dir\\$home"), "c:\\dir\\/srv/app");
    assert_eq!(expand("`$home"), "$home");
    assert_eq!(expand("\"a `\"b`\" ``\""), "a \"b\" `");
}

#[test]
fn broken_texts() {
    fails("'a", "unexpected end of statement while looking for matching single-quote");
    fails("\"a", "unexpected end of statement while looking for matching double-quote");
    fails("${", "syntax error: missing '}'");
    fails("${a", "syntax error: missing '}'");
    fails("${a:-b", "syntax error: missing '}'");
    fails("${a/b}", "syntax error: missing '/' in ${}");
    fails("${a/b/c", "syntax error: missing '}'");
    fails("${}", "syntax error: bad substitution");
    fails("${{a}}", "syntax error: bad substitution");
    fails("${:-a}", "syntax error: bad substitution");
    fails("${a:#b}", "unsupported modifier (:#) in substitution");
    fails("${a:%b}", "unsupported modifier (:%) in substitution");
    fails("${a:/b/c}", "unsupported modifier (:/) in substitution");
    fails("${a^^}", "unsupported modifier (^) in substitution");
    fails("${a:b}", "unsupported modifier (:b) in substitution");
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let text = "${x:-".repeat(50_000);
    assert!(Expander::new('\\').word(&text, &usual()).is_err());
    let text = format!("{}y{}", "${x:-".repeat(100), "}".repeat(100));
    word(&text, "y");
}

#[test]
fn names_that_were_looked_up_are_told_once() {
    let expanded = Expander::new('\\').word("$home$a${b:-$a}'$c'${home#x}", &usual()).unwrap();
    assert_eq!(expanded.unmatched, ["a", "b"]);
    assert_eq!(expanded.used, ["home"]);
}

#[test]
fn words_split_at_blanks_that_are_not_quoted() {
    let cases: [(&str, &[&str]); 9] = [
        ("a b", &["a", "b"]),
        ("  a\tb  ", &["a", "b"]),
        ("$blanks", &["one", "two"]),
        ("x${blanks}y", &["x", "one", "two", "y"]),
        ("\"$blanks\"", &[" one  two "]),
        ("'a b'c d", &["a bc", "d"]),
        ("a\\ b", &["a b"]),
        ("\"\" $empty ''", &[]),
        ("$unset", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(Expander::new('\\').words(text, &usual()).unwrap().words, expected, "{text}");
    }
}

#[test]
fn a_text_in_braces_drops_what_stands_before_it_where_words_are_split() {
    // One of BuildKit's oddities: EXPOSE 80${unset:-90} exposes 90.
    let words = |text| Expander::new('\\').words(text, &usual()).unwrap().words;
    assert_eq!(words("80${unset:-90}"), ["90"]);
    assert_eq!(words("1 80${unset:-90}1"), ["1", "901"]);
    word("80${unset:-90}", "8090");
}

#[test]
fn heredoc_bodies_keep_quotes_and_drop_backslashes() {
    let body = "a \"$home\" '$home' \\$home \\a\n$1 $@ $$ $(cmd) `x` 5$\n";
    let expanded = Expander::new('`').heredoc(body, &usual()).unwrap();
    assert_eq!(expanded.value, "a \"/srv/app\" '/srv/app' $home a\n   $(cmd) `x` 5$\n");
    assert_eq!(Expander::new('\\').heredoc("it's ${unset:-'q'}\n", &usual()).unwrap().value, "it's 'q'\n");
}

#[test]
fn texts_for_people_keep_quotes_and_unset_variables() {
    let display = |text| Expander::new('\\').display(text, &usual());
    assert_eq!(display("echo \"$home\" $unset ${unset:-x}"), "echo \"/srv/app\" $unset ${unset:-x}");
    assert_eq!(display("it's"), "it's");
}

#[test]
fn a_marker_keeps_blanks_behind_it() {
    let lexer = Lexer { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Lexer::new('\\') };
    let words = lexer.run("cat <<  \"E O F\" 3<<-X\\ Y > $f", &NoEnv).unwrap().words;
    assert_eq!(words, ["cat", "<<  \"E O F\"", "3<<-X\\ Y", ">", "$f"]);
}

#[test]
fn variables_cannot_make_a_text_longer_than_a_mebibyte() {
    let env = vec![("a".to_owned(), "x".repeat(1 << 19))];
    let expander = Expander::new('\\');
    assert_eq!(expander.word("$a$a", &env).unwrap().value.len(), 1 << 20);
    for text in ["$a${a}${a:-y}", "${a//x/$a}", "${a//x/yy$0}", "${a/x/$a$a}"] {
        let error = expander.word(text, &env).unwrap_err();
        assert_eq!(error.message, "its variables hold more than 1048576 bytes", "{text}");
    }
}

#[test]
fn variables_cannot_make_all_texts_of_a_file_longer_than_64_mebibytes() {
    let env = vec![("a".to_owned(), "x".repeat(1 << 20))];
    let expander = Expander::new('\\');
    for _ in 0..64 {
        expander.words("$a", &env).unwrap();
    }
    let error = expander.words("$a", &env).unwrap_err();
    assert_eq!(error.message, "the file's variables take more than 67108864 bytes");
}
