//! Input: an image reference. One that can be read is the same after printing and reading again; its short form names
//! the same image.
#![no_main]

use cooper_oci::Reference;
use libfuzzer_sys::fuzz_target;

fn again(text: &str) -> Reference {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fuzz_target!(|text: &str| {
    let Ok(reference) = text.parse::<Reference>() else { return };
    assert_eq!(again(&reference.to_string()), reference);
    assert_eq!(again(&reference.name()).name(), reference.name());

    let short = again(&reference.familiar());
    assert_eq!(short.name(), reference.name());
    assert_eq!((short.tag_or_latest(), &short.digest), (reference.tag_or_latest(), &reference.digest));
    assert_eq!(again(&reference.familiar_name()).name(), reference.name());
    assert_eq!(again(&reference.with_tag("latest").to_string()).name(), reference.name());
});
