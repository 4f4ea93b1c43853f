//! Input: a byte, then an archive; an odd byte says that the checksums of its ustar headers are to be made right first,
//! so that a changed header is not refused at once. Reading never panics and hands out no more than its budget allows.
#![no_main]

use std::io::Read;

use cooper_oci::tar::{BLOCK, Budget, Reader};
use libfuzzer_sys::fuzz_target;

const BUDGET: Budget =
    Budget { max_entries: 32, max_bytes: 1 << 16, max_metadata: 1 << 12, max_path: 1 << 9 };

/// Makes the checksum of each header right.
fn seal(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(BLOCK).filter(|block| block[257..].starts_with(b"ustar")) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, archive)) = bytes.split_first() else { return };
    let mut archive = archive.to_vec();
    if mode % 2 == 1 {
        seal(&mut archive);
    }
    // Headers only, then with the data.
    let mut reader = Reader::new(&archive[..], BUDGET);
    while let Ok(Some(_)) = reader.next() {}
    let _ = reader.drain();

    let mut reader = Reader::new(&archive[..], BUDGET);
    let (mut entries, mut data) = (0, 0);
    while let Ok(Some(entry)) = reader.next() {
        entries += 1;
        assert!(entry.path.len() <= BUDGET.max_path && entry.link.len() <= BUDGET.max_path);
        assert!(entry.mode <= 0o7777 && entry.mtime_nanos < 1_000_000_000);
        let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(xattrs as u64 <= 2 * BUDGET.max_metadata);
        let mut left = entry.size;
        for (offset, length) in reader.extents().unwrap_or_default() {
            assert!(offset.checked_add(length).is_some_and(|end| end <= entry.size));
        }
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            left = left.checked_sub(count as u64).expect("a member has no more data than its size");
            data += count as u64;
        }
        // Less only if the archive was cut off.
        assert!(left == 0 || reader.next().is_err());
        if left != 0 {
            break;
        }
    }
    assert!(entries <= BUDGET.max_entries && data <= BUDGET.max_bytes);
});
