//! The symbolic language of `--chmod`.

use cooper_frontend::graph::Chmod;

use crate::copy::ModeChange;

fn change(text: &str) -> Option<ModeChange> {
    ModeChange::new(&Chmod::Symbolic(text.into())).ok()
}

#[test]
fn symbolic_modes() {
    for (text, is_dir, before, after) in [
        ("u=rwX,go=rX", true, 0o700, 0o755),
        ("u=rwX,go=rX", false, 0o600, 0o644),
        ("u=rwX,go=rX", false, 0o711, 0o755),
        // X looks at the mode before the first clause.
        ("a-x,a+X", false, 0o711, 0o711),
        ("a-x,a+X", false, 0o600, 0o600),
        ("a-x,a+X", true, 0o700, 0o711),
        ("+X", false, 0o711, 0o711),
        ("+X", false, 0o600, 0o600),
        ("+X", true, 0o700, 0o711),
        ("go-rwx", false, 0o755, 0o700),
        ("+x", false, 0o644, 0o755),
        ("+w", false, 0o444, 0o666),
        ("u+w", false, 0o6555, 0o6755),
        ("u-s", false, 0o6755, 0o2755),
        ("g-s", false, 0o6755, 0o4755),
        ("u=rwx", false, 0o6755, 0o2755),
        ("u=rwx", true, 0o1777, 0o1777),
        ("a=rx", false, 0o6755, 0o555),
        ("a=rx", true, 0o1777, 0o1555),
        ("=r", false, 0o777, 0o444),
        ("ug+s", false, 0o755, 0o6755),
        ("o+s", false, 0o755, 0o755),
        ("+t", true, 0o755, 0o1755),
        ("-t", true, 0o1755, 0o755),
        ("o+t", true, 0o755, 0o755),
        ("g=u", false, 0o640, 0o660),
        ("go=u", false, 0o750, 0o777),
        ("o=g", false, 0o640, 0o644),
        ("u=g", false, 0o740, 0o440),
        ("g+u", false, 0o710, 0o770),
        ("g-o", false, 0o775, 0o725),
        ("go=u-w", false, 0o755, 0o755),
        ("u+r-w+x", false, 0o200, 0o500),
        ("u=,g=,o=", false, 0o777, 0),
        ("a+rX,u+w", false, 0o000, 0o644),
    ] {
        let change = change(text).unwrap_or_else(|| panic!("{text} is refused"));
        assert_eq!(
            change.apply(before, is_dir),
            after,
            "{text} on {before:o}: {:o}",
            change.apply(before, is_dir)
        );
        assert_eq!(change.of_parents(), 0o755);
    }
}

#[test]
fn nonsense_is_refused() {
    for text in ["", "u", "u+z", "rwxr-xr-x", "u+x,", ",u+x", "z+x", "u*x", "755x", "u+x g+x"] {
        assert_eq!(change(text), None, "{text:?}");
    }
}
