#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

/// One pattern, without parents.
fn one(pattern: &str, path: &str) -> bool {
    Matcher::new(&[pattern]).unwrap().is_excluded(path.as_bytes())
}

/// What a walk of `files` keeps, going below excluded directories only where it must.
fn walk(matcher: &Matcher, files: &[&str]) -> Vec<String> {
    fn visit(matcher: &Matcher, files: &[&str], dir: &str, info: &ParentInfo, kept: &mut Vec<String>) {
        let mut names: Vec<(String, bool)> = Vec::new();
        for file in files {
            let Some(rest) = file.strip_prefix(dir) else { continue };
            let (name, is_dir) = match rest.split_once('/') {
                Some((name, _)) => (name, true),
                None => (rest, false),
            };
            if !names.iter().any(|(known, _)| known == name) {
                names.push((name.to_owned(), is_dir));
            }
        }
        for (name, is_dir) in names {
            let path = format!("{dir}{name}");
            if !is_dir {
                if !matcher.matches(path.as_bytes(), info) {
                    kept.push(path);
                }
                continue;
            }
            let (excluded, below) = matcher.enter(path.as_bytes(), info);
            if !excluded || matcher.may_have_reincluded_below(path.as_bytes()) {
                visit(matcher, files, &format!("{path}/"), &below, kept);
            }
        }
    }
    let mut kept = Vec::new();
    visit(matcher, files, "", &ParentInfo::default(), &mut kept);
    kept.sort();
    kept
}

#[test]
fn patterns_match_as_the_reference_does() {
    for (pattern, path, want) in [
        ("**", "file", true),
        ("**", "dir/file", true),
        ("**/", "file", true),
        ("**/", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/dir2/file", true),
        ("dir/**", "dir", false),
        ("**/dir", "dir", true),
        ("**/dir", "dir/file", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir2/file", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**/file", "dir/dir/file", true),
        ("**/file*", "dir/dir/file.txt", true),
        ("**/file*txt", "dir/dir/file.txt", true),
        ("**/file*.txt*", "dir/dir/file.txt", true),
        ("**/**/*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "a/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("a[^b-d]e", "aze", true),
        ("abc.def", "abcdef", false),
        ("abc.def", "abcZdef", false),
        ("abc?def", "abcZdef", true),
        ("a\\\\", "a\\", true),
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/foo/bar", true),
        ("abc/**", "abc", false),
        ("abc/**", "abc/def/ghi", true),
        ("**/.foo", ".foo", true),
        ("**/.foo", "bar.foo", false),
        ("./bar.*", "bar.foo", true),
        ("a(b)c/def", "a(b)c/def", true),
        ("a(b)c/def", "a(b)c/xyz", false),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        (
            "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
            "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
            true,
        ),
        ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", true),
        ("a\u{f6}?", "a\u{f6}\u{fc}", true),
        ("[a-z]?", "\u{f6}x", false),
    ] {
        assert_eq!(one(pattern, path), want, "{pattern:?} {path:?}");
    }
}

#[test]
fn it_is_no_gitignore() {
    for (pattern, path, want) in [
        // Only the root, not any depth.
        ("foo", "a/foo", false),
        ("foo", "foo", true),
        ("*.o", "a/b.o", false),
        // A trailing slash says nothing, a leading one neither.
        ("a/", "a", true),
        // Paths are cleaned, blanks trimmed.
        ("a/../b", "b", true),
        ("  a  ", "a", true),
        // Two stars cross slashes wherever they stand.
        ("foo**bar", "foo/x/bar", true),
        ("foo**bar", "foobar", true),
        // A match of a directory is one of all that is below.
        ("a", "a/b/c", true),
        // A hash is a comment in files only, a bang within a name is plain.
        ("#a", "#a", true),
        ("a!b", "a!b", true),
        // Braces are plain.
        ("{a,b}", "a", false),
        ("{a,b}", "{a,b}", true),
    ] {
        assert_eq!(one(pattern, path), want, "{pattern:?} {path:?}");
    }
    // Files come back from an excluded directory.
    let matcher = Matcher::new(&["a", "!a/b"]).unwrap();
    assert!(matcher.is_excluded(b"a/c"));
    assert!(!matcher.is_excluded(b"a/b"));
    // Malformed patterns are errors, not patterns that match nothing.
    for bad in ["[a-", "[", "a[]b", "a\\"] {
        assert!(matches!(Matcher::new(&[bad]), Err(IgnoreError::BadPattern { .. })), "{bad}");
    }
    assert_eq!(Matcher::new(&["a", "!"]).unwrap_err(), IgnoreError::LoneExclamation { line: 2 });
    assert_eq!(Matcher::from_file(b"\n  !  \n").unwrap_err(), IgnoreError::LoneExclamation { line: 2 });
}

#[test]
fn a_star_ends_its_class() {
    // `[*]` is the class of `[`, `^` and `/`, any number of times, then a bracket.
    assert!(!one("[*]", "*"));
    assert!(one("[*]", "[^]"));
}

#[test]
fn the_last_match_decides() {
    let matcher = Matcher::new(&["*.md", "!README*", "README-secret.md"]).unwrap();
    for (path, want) in [("a.md", true), ("README.md", false), ("README-secret.md", true), ("x", false)] {
        assert_eq!(matcher.is_excluded(path.as_bytes()), want, "{path}");
    }
    let matcher = Matcher::new(&["*", "!d/x", "d"]).unwrap();
    assert!(matcher.is_excluded(b"d/x"));
}

#[test]
fn ignore_files_are_read_as_such() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "*\n!d1/\n!d2/**\n!d3/*\n!/d4\n",
            &[
                "d1/f",
                "d1/s/f",
                "d2/f",
                "d2/s/f",
                "d3/f",
                "d3/s/f",
                "d4/f",
                "d4/s/f",
                "d5/f",
                ".dockerignore",
            ],
            &["d1/f", "d1/s/f", "d2/f", "d2/s/f", "d3/f", "d3/s/f", "d4/f", "d4/s/f"],
        ),
        (
            "*\n!dir/sub/file\n",
            &["dir/sub/file", "dir/sub/no", "dir/no", "other/no", "no"],
            &["dir/sub/file"],
        ),
        ("\u{feff}a.txt\nb.txt\n", &["a.txt", "b.txt", "c.txt"], &["c.txt"]),
        (
            "{a,b}.txt\nc,d\n",
            &["a.txt", "b.txt", "{a,b}.txt", "c", "d", "c,d"],
            &["a.txt", "b.txt", "c", "d"],
        ),
        (
            "# a.txt\n\n   b.txt   \n\t\n #c.txt\nd#.txt\n\\#e.txt\n",
            &["a.txt", "b.txt", "c.txt", "#c.txt", "d#.txt", "#e.txt", "e.txt", "d"],
            &["a.txt", "c.txt", "d", "e.txt"],
        ),
        (
            "a\nb/\n/c\n/d/\n./e\nf/.\n",
            &["a/f", "b/s/f", "c/f", "d/f", "e/f", "f/s/f", "g/f", "x/a/f", "x/c/s/f"],
            &["g/f", "x/a/f", "x/c/s/f"],
        ),
        (
            "a\n!a/keep\n!a/s/deep/keep\n",
            &["a/keep", "a/drop", "a/s/x", "a/s/deep/keep", "a/s/deep/y", "a/t/z"],
            &["a/keep", "a/s/deep/keep"],
        ),
        (
            "**\n!**/*.go\n",
            &["m.go", "a/x.go", "a/b/y.go", "a/b/n.txt", "c/n.txt"],
            &["a/b/y.go", "a/x.go", "m.go"],
        ),
        ("*.cfg\n.*\n!.keep\n", &[".a.cfg", "a.cfg", ".env", ".keep", ".git/config", "n"], &[".keep", "n"]),
        ("*.md\n! keep.md\nx!y\n", &["keep.md", "a.md", "x!y", "! keep.md"], &["keep.md"]),
        (
            "app\n!app/main\n!application\n",
            &["app/main", "app/mainx", "app/x", "application/y", "app.txt"],
            &["app.txt", "app/main", "application/y"],
        ),
        (
            "*.txt\na/*.tmp\n**/*.log\n",
            &["r.txt", "a/s.txt", "a/x.tmp", "a/b/x.tmp", "r.log", "a/s.log", "a/b/t.log"],
            &["a/b/x.tmp", "a/s.txt"],
        ),
        ("f/\n*.md/\n", &["f", "r.md", "k"], &["k"]),
        ("", &["a"], &["a"]),
    ];
    for (text, files, want) in cases {
        let matcher = Matcher::from_file(text.as_bytes()).unwrap();
        assert_eq!(walk(&matcher, files), *want, "{text:?}");
    }
}

#[test]
fn the_pattern_to_blame_is_known() {
    let matcher = Matcher::from_file(b"# head\n*.log\n\nbuild/\n!build/keep\n").unwrap();
    let why =
        |path: &str| matcher.explain(path.as_bytes()).map(|pattern| (pattern.text.clone(), pattern.line));
    assert_eq!(why("a.log"), Some(("*.log".into(), 2)));
    assert_eq!(why("build/x/y"), Some(("build/".into(), 4)));
    assert_eq!(why("build/keep"), Some(("!build/keep".into(), 5)));
    assert_eq!(why("src"), None);
}

#[test]
fn excluded_directories_are_entered_only_if_they_may_hold_something() {
    let matcher = Matcher::from_file(b"*\n!src/lib/keep\n!docs/**\n").unwrap();
    for (dir, want) in [
        ("src", true),
        ("src/lib", true),
        ("src/other", false),
        ("target", false),
        ("docs", true),
        ("doc", false),
    ] {
        assert_eq!(matcher.may_have_reincluded_below(dir.as_bytes()), want, "{dir}");
    }
    assert!(!Matcher::from_file(b"*\n").unwrap().may_have_reincluded_below(b"a"));
    assert!(Matcher::from_file(b"*\n!a/^.log\n").unwrap().may_have_reincluded_below(b"a"));
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => "[ab]{1,2}",
        1 => Just("*".to_owned()),
        1 => Just("**".to_owned()),
        1 => Just("a*".to_owned()),
        1 => Just("?".to_owned()),
        1 => Just("[a-b]".to_owned()),
    ];
    (any::<bool>(), prop::collection::vec(part, 1..4))
        .prop_map(|(bang, parts)| format!("{}{}", if bang { "!" } else { "" }, parts.join("/")))
}

/// The rule in its plainest form: every pattern, every prefix of the path.
fn naive(matcher: &Matcher, path: &str) -> bool {
    let mut excluded = false;
    for pattern in matcher.patterns() {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        if ends.into_iter().any(|end| pattern.glob.matches(&path.as_bytes()[..end])) {
            excluded = !pattern.reincludes;
        }
    }
    excluded
}

proptest! {
    #[test]
    fn remembering_parents_changes_nothing(
        patterns in prop::collection::vec(pattern(), 0..6),
        paths in prop::collection::btree_set("[ab]{1,2}(/[ab]{1,2}){0,3}", 1..8),
    ) {
        let matcher = Matcher::new(&patterns).unwrap();
        // A path that is a directory of another is no file.
        let files: Vec<&str> = paths
            .iter()
            .filter(|path| !paths.iter().any(|other| other.starts_with(&format!("{path}/"))))
            .map(String::as_str)
            .collect();
        for file in &files {
            prop_assert_eq!(matcher.is_excluded(file.as_bytes()), naive(&matcher, file), "{:?} {}", patterns, file);
        }
        let mut want: Vec<String> =
            files.iter().filter(|file| !naive(&matcher, file)).map(|file| (*file).to_owned()).collect();
        want.sort();
        prop_assert_eq!(walk(&matcher, &files), want);
    }
}
