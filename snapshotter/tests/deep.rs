//! Deep stacks, in which runs of layers are merged: what is seen is what the layers say.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use common::{at, listing, place, skipped};
use cooper_snapshotter::{Chain, Mode, Store};

/// Enough for several runs.
const LAYERS: u32 = 140;
/// Where the tree is compared: around the ends of runs.
const LOOKS: [u32; 6] = [1, 64, 65, 96, 97, LAYERS];

/// Numbers that look random and are the same every time.
struct Numbers(u32);

impl Numbers {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) % end
    }

    /// One of few paths, so that layers meet.
    fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        (0..depth).map(|_| ["a", "b", "c"][self.below(3) as usize]).collect::<Vec<_>>().join("/")
    }
}

fn remove(path: &Path) {
    if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        fs::remove_dir_all(path).unwrap();
    } else {
        let _ = fs::remove_file(path);
    }
}

/// Makes way for a directory: what lies on the way and is none goes.
fn make_dirs(root: &Path, path: &str) {
    let mut dir = root.to_owned();
    for part in path.split('/') {
        dir.push(part);
        if !dir.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            remove(&dir);
            fs::create_dir(&dir).unwrap();
        }
    }
}

/// The change that one layer makes.
fn change(root: &Path, step: u32, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(2) {
        let path = numbers.path();
        let target = root.join(&path);
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        match numbers.below(5) {
            0 => make_dirs(root, &path),
            1 => remove(&target),
            2 => {
                // A directory in place of another one hides it.
                remove(&target);
                make_dirs(root, &path);
                fs::write(target.join("new"), format!("{step}")).unwrap();
            }
            _ => {
                if !parent.is_empty() {
                    make_dirs(root, parent);
                }
                remove(&target);
                fs::write(&target, format!("{step}")).unwrap();
            }
        }
    }
    fs::write(root.join(format!("only-{step}")), "").unwrap();
}

/// Without the number of links: files of a pack have names in it, too.
fn shown(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| line.split(" links ").next().unwrap_or_default().to_owned()).collect()
}

fn listing_of(store: &Store, chain: &Chain) -> Vec<String> {
    shown(listing(store.view(chain).unwrap().root()))
}

#[test]
fn a_deep_stack_shows_what_its_layers_say() {
    if skipped() {
        return;
    }
    let place = place(Mode::Auto);
    let plain = place.dir.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let mut chain = Chain::default();
    let mut looked = Vec::new();
    for step in 1..=LAYERS {
        change(&plain, step, &mut Numbers(step));
        let active = place.store.prepare(&chain, &[]).unwrap();
        change(&at(active.root()), step, &mut Numbers(step));
        chain.push(place.store.commit(active).unwrap().diff_id);
        if LOOKS.contains(&step) {
            let truth = cooper_sys::fs::open_dir(&plain).unwrap();
            let truth = shown(listing(std::os::fd::AsFd::as_fd(&truth)));
            assert_eq!(listing_of(&place.store, &chain), truth, "{step} layers");
            looked.push((chain.clone(), truth));
        }
    }
    // The same in another session, in which nothing is merged yet.
    let root = place.store.root().to_owned();
    drop(place.store);
    let store = Store::open_with(&root, Mode::Auto).unwrap();
    for (chain, truth) in looked.iter().rev() {
        assert_eq!(listing_of(&store, chain), *truth, "{} layers, opened again", chain.len());
    }
    assert_eq!(store.verify_snapshots().unwrap(), 0);
}
