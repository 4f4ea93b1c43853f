//! Installing a seccomp filter. What is in it is the caller's business.

use std::io;

use crate::{Error, Result};

/// One instruction of classic BPF.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// Constant.
    pub k: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Puts this thread and all its future children under the filter. Needs CAP_SYS_ADMIN, as no_new_privs stays off.
pub fn install(filter: &[Instruction]) -> Result<()> {
    let length = u16::try_from(filter.len())
        .map_err(|_| Error::new("seccomp", "filter", io::Error::other("too many instructions")))?;
    let program = Program { length, instructions: filter.as_ptr() };
    let no_flags: libc::c_ulong = 0;
    // SAFETY: `program` describes the slice exactly, and the kernel copies it before the call returns.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, no_flags, &raw const program)
    };
    if result == 0 { Ok(()) } else { Err(Error::new("seccomp", "filter", io::Error::last_os_error())) }
}
