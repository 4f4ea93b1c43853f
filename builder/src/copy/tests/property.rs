//! Random trees: a copy equals its source, and so does its digest.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::{Bed, chmod, dirs, file, link};

#[derive(Debug, Clone)]
enum Node {
    File { text: String, mode: u32 },
    Link(String),
    Dir { mode: u32, children: BTreeMap<String, Node> },
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,2}",
        "\\.[a-b]",
        "[ -.0-~]{1,6}".prop_filter("names", |name| name != "." && name != "..")
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        ("[a-z]{0,8}", 0_u32..0o1000).prop_map(|(text, mode)| Node::File { text, mode: mode | 0o400 }),
        "[a-c./]{1,6}".prop_map(Node::Link),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        (0_u32..0o1000, prop::collection::btree_map(name(), inner, 0..6))
            .prop_map(|(mode, children)| Node::Dir { mode: mode | 0o700, children })
    })
}

fn make(path: &Path, node: &Node) {
    match node {
        Node::File { text, mode } => {
            file(path, text);
            chmod(path, *mode);
        }
        Node::Link(target) => link(target, path),
        Node::Dir { mode, children } => {
            dirs(path);
            for (name, child) in children {
                make(&path.join(name), child);
            }
            chmod(path, *mode);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_copied_tree_equals_its_source(children in prop::collection::btree_map(name(), node(), 0..6)) {
        let mut bed = Bed::new();
        make(&bed.src("top"), &Node::Dir { mode: 0o755, children });
        bed.copy(&["top"], "/top").unwrap();
        // Copied back into a source tree, it lists and hashes the same.
        let mut back = Bed::new();
        std::fs::remove_dir(back.src("")).unwrap();
        std::fs::rename(bed.image(""), back.src("")).unwrap();
        prop_assert_eq!(bed.digest("top"), back.digest("top"));
        back.copy(&["top"], "/top").unwrap();
        let mut lines = Vec::new();
        super::describe(&bed.src(""), "", &mut lines);
        prop_assert_eq!(lines, back.result());
    }
}
