//! Collection: removing what nobody needs, down to a limit.
//!
//! Roots are images, the step records that stay, and the leases of live sessions; blobs lead to the blobs and layers
//! whose digests stand in them. Under `locks/gc` (exclusive, short) victims are renamed into this session's temporary
//! directory, records before what they name; then they are deleted. Killed at any point, this leaves garbage in a dead
//! session's directory and no record of a missing thing. Names of images are never removed here.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cooper_oci::Digest;

use crate::error::{Error, Result};
use crate::files;
use crate::partial;
use crate::session::{self, open_lock};
use crate::store::Store;
use crate::usage::{Inventory, Item, StepItem};

/// What to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PruneOptions {
    /// All step records, cache mounts and context indexes, not only what is unreferenced.
    pub all: bool,
    /// Step records, cache mounts and context indexes that were not used for so long.
    pub unused_for: Option<Duration>,
    /// Evict steps, then cache mounts, until the store takes no more than this many bytes.
    pub keep_bytes: Option<u64>,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A record of a step.
    Step,
    /// A cache mount.
    Mount,
    /// An index of a build context.
    Context,
    /// An unpacked layer.
    Snapshot,
    /// What is known about a layer.
    Layer,
    /// A manifest, config or compressed layer.
    Blob,
    /// A blob that was not finished.
    Partial,
}

/// One removed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// What it was.
    pub kind: ObjectKind,
    /// Its name in the store.
    pub name: String,
    /// Space that it took, in bytes.
    pub bytes: u64,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PruneReport {
    /// The objects.
    pub removed: Vec<Pruned>,
    /// Their space in bytes.
    pub freed_bytes: u64,
    /// What is left, in bytes; may be above the limit if all of it is in use or named.
    pub kept_bytes: u64,
}

struct Plan<'a> {
    all: &'a Inventory,
    steps: HashSet<usize>,
    mounts: HashSet<usize>,
    contexts: HashSet<usize>,
}

fn is_old(item: &Item, options: &PruneOptions) -> bool {
    options.all || options.unused_for.is_some_and(|limit| item.unused_for >= limit)
}

impl Store {
    /// Removes what the options say and all blobs and snapshots that nothing refers to.
    pub fn prune(&self, options: &PruneOptions) -> Result<PruneReport> {
        let layout = self.layout();
        session::clean_dead(layout)?;
        let mounts = Inventory::mounts(layout)?;
        let gate = open_lock(&layout.gc_lock())?;
        gate.lock().map_err(Error::io("lock", layout.gc_lock()))?;
        let leased = session::leased(layout)?;
        let all = Inventory::take(layout, mounts)?;
        let old = |items: &[Item]| -> HashSet<usize> {
            items
                .iter()
                .enumerate()
                .filter(|(_, item)| is_old(item, options))
                .map(|(index, _)| index)
                .collect()
        };
        let mut plan = Plan {
            steps: all
                .steps
                .iter()
                .enumerate()
                .filter(|(_, step)| is_old(&step.item, options))
                .map(|(index, _)| index)
                .collect(),
            mounts: old(&all.mounts),
            contexts: old(&all.contexts),
            all: &all,
        };
        let keep = self.fixed_roots(&all, &leased);
        if let Some(limit) = options.keep_bytes {
            self.evict(&mut plan, &keep, &leased, limit);
        }
        let trash = if options.dry_run { None } else { Some(self.temp_dir("trash")?) };
        let report = self.sweep(&plan, &keep, &leased, trash.as_deref())?;
        drop(gate);
        if let Some(trash) = trash {
            files::remove_tree(&trash)?;
        }
        Ok(report)
    }

    /// Everything that images and leases need.
    fn fixed_roots(&self, all: &Inventory, leased: &HashSet<String>) -> HashSet<Digest> {
        let held = leased.iter().filter_map(|line| line.strip_prefix("b ")?.parse().ok());
        all.closure(self.layout(), all.image_digests.iter().cloned().chain(held))
    }

    /// Takes steps into the plan, the least worth first, then cache mounts, until the rest is within the limit.
    fn evict(&self, plan: &mut Plan<'_>, keep: &HashSet<Digest>, leased: &HashSet<String>, limit: u64) {
        let all = plan.all;
        let needs: Vec<HashSet<Digest>> = all
            .steps
            .iter()
            .map(|step| {
                let mut needs = all.closure(self.layout(), step.digests.iter().cloned());
                needs.retain(|digest| !keep.contains(digest));
                needs
            })
            .collect();
        let mut bytes_of: HashMap<&Digest, u64> =
            all.blobs.iter().map(|(digest, bytes)| (digest, *bytes)).collect();
        let mut total = 0;
        for snapshot in &all.snapshots {
            match &snapshot.diff_id {
                Some(diff_id) if !leased.contains(&format!("s {}", snapshot.id)) => {
                    *bytes_of.entry(diff_id).or_default() += snapshot.bytes;
                }
                _ => total += snapshot.bytes,
            }
        }
        let mut users: HashMap<&Digest, usize> = HashMap::new();
        for (index, digests) in needs.iter().enumerate() {
            if !plan.steps.contains(&index) {
                for digest in digests {
                    *users.entry(digest).or_default() += 1;
                }
            }
        }
        let size = |digest: &Digest| bytes_of.get(digest).copied().unwrap_or(0);
        total += keep.iter().map(size).sum::<u64>();
        total += users.keys().map(|digest| size(digest)).sum::<u64>();
        let left = |items: &[Item], gone: &HashSet<usize>| -> u64 {
            items.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, item)| item.bytes).sum()
        };
        total += left(&all.mounts, &plan.mounts) + left(&all.contexts, &plan.contexts);

        let mut order: Vec<usize> =
            (0..all.steps.len()).filter(|index| !plan.steps.contains(index)).collect();
        let worth = |index: &usize| {
            let bytes = needs[*index].iter().map(size).sum::<u64>();
            step_worth(&all.steps[*index], bytes)
        };
        order.sort_by(|a, b| worth(a).total_cmp(&worth(b)));
        for index in order {
            if total <= limit {
                return;
            }
            plan.steps.insert(index);
            for digest in &needs[index] {
                if let Some(count) = users.get_mut(digest) {
                    *count -= 1;
                    if *count == 0 {
                        total = total.saturating_sub(size(digest));
                    }
                }
            }
        }
        let mut mounts: Vec<usize> =
            (0..all.mounts.len()).filter(|index| !plan.mounts.contains(index)).collect();
        mounts.sort_by_key(|index| std::cmp::Reverse(all.mounts[*index].unused_for));
        for index in mounts {
            if total <= limit {
                return;
            }
            plan.mounts.insert(index);
            total = total.saturating_sub(all.mounts[index].bytes);
        }
    }

    fn sweep(
        &self,
        plan: &Plan<'_>,
        keep: &HashSet<Digest>,
        leased: &HashSet<String>,
        trash: Option<&Path>,
    ) -> Result<PruneReport> {
        let layout = self.layout();
        let all = plan.all;
        let mut sweeper = Sweeper { trash, report: PruneReport::default(), count: 0 };
        let staying = all.steps.iter().enumerate().filter(|(index, _)| !plan.steps.contains(index));
        let mut needed = all.closure(layout, staying.flat_map(|(_, step)| step.digests.iter().cloned()));
        needed.extend(keep.iter().cloned());

        for (index, step) in all.steps.iter().enumerate() {
            let path = layout.steps().join(&step.item.name);
            sweeper.decide(
                plan.steps.contains(&index),
                ObjectKind::Step,
                &step.item.name,
                step.item.bytes,
                &path,
            )?;
        }
        for (index, context) in all.contexts.iter().enumerate() {
            let path = layout.contexts().join(&context.name);
            let gone = plan.contexts.contains(&index);
            sweeper.decide(gone, ObjectKind::Context, &context.name, context.bytes, &path)?;
        }
        for (index, mount) in all.mounts.iter().enumerate() {
            let path = layout.mounts().join(&mount.name);
            let lock = open_lock(&layout.locks().join(format!("mount-{}", mount.name)))?;
            // Somebody uses it: not ours to take.
            let gone = plan.mounts.contains(&index) && lock.try_lock().is_ok();
            sweeper.decide(gone, ObjectKind::Mount, &mount.name, mount.bytes, &path)?;
        }
        // Records are gone on disk before what they name.
        if trash.is_some() && !plan.steps.is_empty() {
            files::sync_dir(&layout.steps())?;
        }
        for snapshot in &all.snapshots {
            let wanted = snapshot.diff_id.as_ref().is_some_and(|diff_id| needed.contains(diff_id));
            let gone = !wanted && !leased.contains(&format!("s {}", snapshot.id));
            let path = layout.snapshot(&snapshot.id);
            sweeper.decide(gone, ObjectKind::Snapshot, &snapshot.id, snapshot.bytes, &path)?;
        }
        let held: HashSet<&str> = leased.iter().filter_map(|line| line.strip_prefix("s ")).collect();
        for hex in files::list(&layout.layers())? {
            let digest = format!("sha256:{hex}").parse().or_else(|_| format!("sha512:{hex}").parse());
            let wanted = digest.is_ok_and(|digest: Digest| needed.contains(&digest));
            let gone = !wanted && !held.contains(hex.as_str());
            sweeper.decide(gone, ObjectKind::Layer, &hex, 0, &layout.layers().join(&hex))?;
        }
        for (digest, bytes) in &all.blobs {
            let gone = !needed.contains(digest);
            sweeper.decide(gone, ObjectKind::Blob, digest.as_str(), *bytes, &layout.blob(digest))?;
        }
        for (name, bytes) in partial::idle(layout, trash.is_some())? {
            sweeper.report.freed_bytes += bytes;
            sweeper.report.removed.push(Pruned { kind: ObjectKind::Partial, name, bytes });
        }
        Ok(sweeper.report)
    }
}

/// What keeping a step is worth: the time that it saves for each byte, the less the longer nobody asked for it.
fn step_worth(step: &StepItem, bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (milliseconds, mebibytes) =
        (step.duration_ms as f64 + 100.0, bytes as f64 / f64::from(1 << 20) + 0.1);
    milliseconds / mebibytes / (1.0 + step.item.unused_for.as_secs_f64() / 3600.0)
}

struct Sweeper<'a> {
    trash: Option<&'a Path>,
    report: PruneReport,
    count: u64,
}

impl Sweeper<'_> {
    fn decide(&mut self, gone: bool, kind: ObjectKind, name: &str, bytes: u64, path: &PathBuf) -> Result<()> {
        if !gone {
            self.report.kept_bytes += bytes;
            return Ok(());
        }
        if let Some(trash) = self.trash {
            self.count += 1;
            match fs::rename(path, trash.join(self.count.to_string())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", path)(error));
                }
                _ => {}
            }
        }
        self.report.freed_bytes += bytes;
        self.report.removed.push(Pruned { kind, name: name.to_owned(), bytes });
        Ok(())
    }
}
