//! Who the command is and what it may do: limits, ids, capabilities, the system call filter.

use cooper_sys::capability::{self, Sets};
use cooper_sys::process::{self, Resource};

use super::Step as _;
use crate::seccomp;
use crate::wire::{Failure, Order};

/// The capabilities of a container, the 14 that Docker and BuildKit give: chown 0, dac_override 1, fowner 3, fsetid 4,
/// kill 5, setgid 6, setuid 7, setpcap 8, net_bind_service 10, net_raw 13, sys_chroot 18, mknod 27, audit_write 29,
/// setfcap 31.
const CAPABILITIES: u64 = 0xa804_25fb;

/// Added to the kernel's score: under memory pressure a command goes before the builder.
const OOM_SCORE: &str = "500";

/// Soft and hard limit of open files: a low soft one, because old programs close every descriptor up to it.
const OPEN_FILES: (u64, u64) = (1024, 1_048_576);

/// Makes this process a better choice than others when memory runs out. Best effort.
pub fn prefer_as_victim() {
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
}

pub fn set_limits(order: &Order) -> Result<(), Failure> {
    let given = |resource: Resource| order.rlimits.iter().any(|(name, ..)| name == resource.name());
    if !given(Resource::Nofile) {
        let (soft, hard) = OPEN_FILES;
        // Only root of the host may go above what it was given itself.
        process::set_rlimit(Resource::Nofile, soft, hard)
            .or_else(|_| {
                let hard = hard.min(process::hard_rlimit(Resource::Nofile));
                process::set_rlimit(Resource::Nofile, soft.min(hard), hard)
            })
            .step("limits")?;
    }
    if !given(Resource::Core) {
        process::set_rlimit(Resource::Core, 0, 0).step("limits")?;
    }
    for (name, soft, hard) in &order.rlimits {
        let resource = Resource::from_name(name)
            .ok_or_else(|| Failure::plain("limits", format!("unknown resource {name:?}")))?;
        process::set_rlimit(resource, *soft, *hard).step("limits")?;
    }
    Ok(())
}

/// Becomes the user of the order, and gives up all that is not for him. Nothing but exec may follow.
///
/// The filter needs CAP_SYS_ADMIN, because no_new_privs stays off so that su and sudo work; so it is installed when the
/// user is set, but before the last capabilities are gone.
pub fn assume(order: &Order) -> Result<(), Failure> {
    // Keys of the caller's session must not be reached. The kernel may have no keyrings.
    let _ = process::join_new_keyring("_cooper");
    cooper_sys::fs::umask(0o022);
    let all = capability::bounding_set();
    let keep = if order.insecure { all } else { CAPABILITIES & all };
    capability::limit_bounding_set(keep).step("capabilities")?;
    process::set_groups(&order.user.groups).step("groups")?;
    process::set_gid(order.user.gid).step("group")?;
    process::set_uid(order.user.uid, true).step("user")?;

    if !order.insecure {
        let permitted = capability::get().step("capabilities")?.permitted;
        capability::set(Sets { effective: permitted, permitted, inheritable: 0 }).step("capabilities")?;
        let filter = seccomp::filter().ok_or_else(|| {
            Failure::plain("seccomp", "no filter for this processor architecture".to_owned())
        })?;
        cooper_sys::seccomp::install(filter).step("seccomp")?;
    }
    capability::clear_ambient().step("capabilities")?;
    let held = if order.user.uid == 0 || order.insecure { keep } else { 0 };
    let inheritable = if order.insecure { keep } else { 0 };
    capability::set(Sets { effective: held, permitted: held, inheritable }).step("capabilities")?;
    if order.insecure {
        capability::raise_ambient(keep);
    }
    // Lost with the change of ids.
    process::die_with_parent().step("parent death signal")
}
