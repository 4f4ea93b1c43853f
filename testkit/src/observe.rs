//! What goes on outside of a test: processes, mounts, and waiting for something to become true.

use std::time::{Duration, Instant};

/// Asks again and again, until it is true or the time is over; whether it became true.
pub fn wait_for(patience: Duration, mut is_true: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if is_true() {
            return true;
        }
        if start.elapsed() > patience {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Command lines of all running processes that have `text` in them, ours excepted.
pub fn processes_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let me = std::process::id().to_string();
    for entry in std::fs::read_dir("/proc").expect("/proc is mounted").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == me || !name.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        // It may have ended meanwhile.
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(text) {
            found.push(format!("{name}: {line}"));
        }
    }
    found
}

/// Lines of every readable mount table that have `text` in them: a mount may outlive us in another namespace.
pub fn mounts_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc is mounted").flatten() {
        let Ok(table) = std::fs::read_to_string(entry.path().join("mountinfo")) else { continue };
        found.extend(table.lines().filter(|l| l.contains(text)).map(str::to_owned));
    }
    found.sort();
    found.dedup();
    found
}
