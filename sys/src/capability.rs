//! Capability sets of this thread, as bit masks by capability number.

use std::io;
use std::sync::OnceLock;

use crate::process::prctl;
use crate::{Error, Result};

/// CAP_SYS_ADMIN.
pub const SYS_ADMIN: u32 = 21;

/// Capability sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// In force.
    pub effective: u64,
    /// May be put in force.
    pub permitted: u64,
    /// May be kept by programs that have it inheritable.
    pub inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;

/// The sets of this thread.
pub fn get() -> Result<Sets> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 has two data elements, which the kernel fills.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) };
    if result != 0 {
        return Err(Error::new("capget", "", io::Error::last_os_error()));
    }
    let join = |field: fn(&Data) -> u32| u64::from(field(&data[1])) << 32 | u64::from(field(&data[0]));
    Ok(Sets {
        effective: join(|d| d.effective),
        permitted: join(|d| d.permitted),
        inheritable: join(|d| d.inheritable),
    })
}

/// Sets the sets of this thread.
pub fn set(sets: Sets) -> Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    #[allow(clippy::cast_possible_truncation, reason = "the halves of a mask")]
    let half = |shift: u32| Data {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 has two data elements, which the kernel reads.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    if result == 0 {
        Ok(())
    } else {
        Err(Error::new("capset", format!("{sets:x?}"), io::Error::last_os_error()))
    }
}

/// Takes every capability that is not in `keep` out of the bounding set, for ever.
pub fn limit_bounding_set(keep: u64) -> Result<()> {
    for number in known() {
        let drop = keep & (1 << number) == 0 && read_bounding(number) == 1;
        if drop && prctl(libc::PR_CAPBSET_DROP, number.into(), 0) != 0 {
            return Err(Error::new("drop capability", number.to_string(), io::Error::last_os_error()));
        }
    }
    Ok(())
}

/// The bounding set, which holds no more than what the kernel knows.
pub fn bounding_set() -> u64 {
    known().filter(|number| read_bounding(*number) == 1).fold(0, |mask, number| mask | 1 << number)
}

/// Empties the ambient set.
pub fn clear_ambient() -> Result<()> {
    if ambient(libc::PR_CAP_AMBIENT_CLEAR_ALL, 0) == 0 {
        Ok(())
    } else {
        Err(Error::new("clear", "ambient capabilities", io::Error::last_os_error()))
    }
}

/// Adds to the ambient set what is both permitted and inheritable; others are left out.
pub fn raise_ambient(mask: u64) {
    for number in known().filter(|number| mask & (1 << number) != 0) {
        // A refusal leaves the set as it was.
        ambient(libc::PR_CAP_AMBIENT_RAISE, number);
    }
}

/// Every capability of the running kernel, from 0 on without a gap.
fn known() -> std::ops::Range<u32> {
    static COUNT: OnceLock<u32> = OnceLock::new();
    let count = COUNT.get_or_init(|| (0..64).find(|number| read_bounding(*number) < 0).unwrap_or(64));
    0..*count
}

fn read_bounding(number: u32) -> i32 {
    prctl(libc::PR_CAPBSET_READ, number.into(), 0)
}

fn ambient(operation: libc::c_int, number: u32) -> i32 {
    prctl(libc::PR_CAP_AMBIENT, libc::c_ulong::from(operation.unsigned_abs()), number.into())
}
