//! Input: a text, then, behind a NUL, variables as `NAME=VALUE`, one a line. Expanding it never panics and names only
//! variables that are set, or are not, as it says.
#![no_main]

use cooper_frontend::expand::{Env, Expander};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (text, variables) = input.split_once('\0').unwrap_or((input, "A=b c\nB=$A\nC=\nD=a/b.c*d"));
    let env: Vec<(String, String)> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for escape in ['\\', '`'] {
        let expander = Expander::new(escape);
        let word = expander.word(text, &env);
        let words = expander.words(text, &env);
        assert_eq!(word.is_ok(), words.is_ok(), "a text can be expanded or not");
        if let (Ok(word), Ok(words)) = (word, words) {
            assert_eq!((&word.used, &word.unmatched), (&words.used, &words.unmatched));
            assert!(word.used.iter().all(|name| env.get(name).is_some()));
            assert!(word.unmatched.iter().all(|name| env.get(name).is_none()));
        }
        let _ = expander.display(text, &env);
        let _ = expander.heredoc(text, &env);
    }
});
