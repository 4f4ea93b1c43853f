//! Input: a `WWW-Authenticate` header. Reading it never panics and makes up no text.
//!
//! The parser needs nothing around it, so its file is taken in as it is: a dependency on the client would bring a TLS
//! stack along.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../registry-client/src/auth/challenge.rs"]
mod challenge;

use challenge::{Challenge, choose};

fuzz_target!(|text: &str| {
    if let Some(Challenge::Bearer(bearer)) = choose(text.split('\n')) {
        assert!(!bearer.realm.is_empty());
        let scopes: usize = bearer.scopes.iter().map(String::len).sum();
        let others =
            [bearer.service, bearer.error].into_iter().flatten().map(|text| text.len()).sum::<usize>();
        assert!(bearer.realm.len() + scopes + others <= text.len());
        assert!(bearer.scopes.iter().all(|scope| !scope.is_empty() && !scope.contains(' ')));
    }
});
