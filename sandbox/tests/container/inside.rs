//! What a command sees and may do.

use std::fs::Permissions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use cooper_sandbox::{Error, ExitStatus, Level, MountKind, Network, ProcessUser, Resource, TargetKind};
use cooper_sys::fs;

use crate::Test;
use crate::fixture::Case;

pub const TESTS: &[Test] = &[
    ("the_command_is_the_first_process", the_command_is_the_first_process),
    ("namespaces_are_its_own", namespaces_are_its_own),
    ("the_root_of_the_host_is_out_of_reach", the_root_of_the_host_is_out_of_reach),
    ("capabilities_and_filter_are_in_force", capabilities_and_filter_are_in_force),
    #[cfg(target_arch = "x86_64")]
    ("programs_of_32_bits_run_under_their_own_filter", programs_of_32_bits_run_under_their_own_filter),
    ("another_user_has_no_capabilities", another_user_has_no_capabilities),
    ("namespaces_and_mounts_are_refused", namespaces_and_mounts_are_refused),
    ("default_mounts_have_their_options", default_mounts_have_their_options),
    (
        "hosts_and_resolver_are_generated_and_leave_no_trace",
        hosts_and_resolver_are_generated_and_leave_no_trace,
    ),
    ("secrets_of_the_kernel_are_masked", secrets_of_the_kernel_are_masked),
    ("devices_are_the_harmless_ones", devices_are_the_harmless_ones),
    ("new_device_nodes_have_no_effect", new_device_nodes_have_no_effect),
    ("an_own_network_has_only_loopback", an_own_network_has_only_loopback),
    ("process_attributes_are_fixed", process_attributes_are_fixed),
    ("signals_have_their_defaults", signals_have_their_defaults),
    ("mounts_appear_at_their_targets", mounts_appear_at_their_targets),
    ("targets_are_resolved_inside_the_root", targets_are_resolved_inside_the_root),
    ("the_last_mount_on_a_target_wins", the_last_mount_on_a_target_wins),
    ("a_script_in_memory_can_be_executed", a_script_in_memory_can_be_executed),
    ("one_detached_source_serves_many_containers", one_detached_source_serves_many_containers),
    ("invalid_targets_are_refused", invalid_targets_are_refused),
    ("an_insecure_container_has_everything", an_insecure_container_has_everything),
    ("commands_that_cannot_be_executed_are_told_as_runc_does", commands_that_cannot_be_executed),
    ("failed_set_up_names_the_step", failed_set_up_names_the_step),
    ("mount_targets_are_those_in_the_root", mount_targets_are_those_in_the_root),
];

fn handle(path: &Path) -> OwnedFd {
    fs::open_path(path).unwrap()
}

fn the_command_is_the_first_process(_: Level) {
    assert_eq!(
        Case::new("echo $$; hostname; cat /proc/sys/kernel/domainname; pwd").run(),
        "1\nbuilder\n(none)\n/\n"
    );
}

fn namespaces_are_its_own(_: Level) {
    let text =
        Case::new("for n in mnt pid ipc uts cgroup net user; do readlink /proc/self/ns/$n; done").run();
    for (line, name) in text.lines().zip(["mnt", "pid", "ipc", "uts", "cgroup", "net", "user"]) {
        let ours = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        let same = ours == Path::new(line);
        assert_eq!(same, name == "net" || name == "user", "{name}: {line}");
    }
}

fn the_root_of_the_host_is_out_of_reach(_: Level) {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "of the host").unwrap();
    let path = secret.path().display();
    let text = Case::new(&format!(
        "for up in '' /.. /../../.. /proc/1/root /proc/1/root/.. /proc/self/cwd/../..; do cat $up{path} && echo BAD; done; \
         cd ..; cat ./{path} && echo BAD; ls /.. > /tmp/a; ls / > /tmp/b; cmp /tmp/a /tmp/b && echo same"
    ))
    .run();
    assert!(!text.contains("BAD") && text.ends_with("same\n"), "{text}");
}

fn capabilities_and_filter_are_in_force(_: Level) {
    let text = Case::new("grep -E '^(Cap|Seccomp|NoNewPrivs)' /proc/self/status").run();
    for expected in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
        "Seccomp:\t2",
        "Seccomp_filters:\t1",
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected} is not in {text}");
    }
}

/// A program for i386 that writes "ok", asks for a user namespace, and exits with the error's number.
#[cfg(target_arch = "x86_64")]
fn program_of_32_bits() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    let mut code = vec![0xb8, 4, 0, 0, 0, 0xbb, 1, 0, 0, 0, 0xb9]; // eax = write, ebx = 1, ecx = text
    code.extend((BASE + HEADERS + 46).to_le_bytes());
    code.extend([0xba, 3, 0, 0, 0, 0xcd, 0x80]); // edx = 3
    code.extend([0xb8, 0x36, 1, 0, 0, 0xbb, 0, 0, 0, 0x10, 0xcd, 0x80]); // eax = unshare, ebx = CLONE_NEWUSER
    code.extend([0xf7, 0xd8, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]); // ebx = -eax, eax = exit
    code.resize(46, 0x90);
    code.extend(b"ok\n");
    let size = HEADERS + u32::try_from(code.len()).unwrap();
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0".to_vec();
    for word in [BASE + HEADERS, 52, 0, 0, 0x0020_0034, 0x0000_0001, 0] {
        elf.extend(word.to_le_bytes());
    }
    for word in [1, 0, BASE, BASE, size, size, 5, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

#[cfg(target_arch = "x86_64")]
fn programs_of_32_bits_run_under_their_own_filter(_: Level) {
    let mut case = Case::with("", |root| {
        std::fs::write(root.lower("program"), program_of_32_bits()).unwrap();
        std::fs::set_permissions(root.lower("program"), Permissions::from_mode(0o755)).unwrap();
    });
    case.spec.argv = vec!["/program".into()];
    match case.try_run() {
        Ok((status, text, _)) => assert_eq!((status, text.as_str()), (ExitStatus::Code(1), "ok\n")),
        Err(Error::Exec { message, .. }) => println!("SKIPPED: {message}"),
        Err(e) => panic!("{e}"),
    }
}

fn another_user_has_no_capabilities(_: Level) {
    let mut case = Case::new("id -u; id -g; id -G; grep -E '^Cap(Prm|Eff|Bnd|Inh)' /proc/self/status");
    case.spec.user = ProcessUser { uid: 1000, gid: 1000, groups: vec![1000, 44] };
    let none = "0000000000000000";
    let expected = format!(
        "1000\n1000\n1000 44\nCapInh:\t{none}\nCapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t00000000a80425fb\n"
    );
    assert_eq!(case.run(), expected);
}

fn namespaces_and_mounts_are_refused(_: Level) {
    let text = Case::new(
        "unshare -U true && echo BAD; unshare -m true && echo BAD; mount -t tmpfs none /tmp && echo BAD; \
         umount /proc && echo BAD; umount /dev/null && echo BAD; chroot / true && echo chroot; true",
    )
    .run();
    assert!(!text.contains("BAD"), "{text}");
    assert!(text.contains("chroot"), "{text}");
}

fn default_mounts_have_their_options(level: Level) {
    let text = Case::new("cat /proc/self/mounts").run();
    let options = |target: &str| {
        let line = text.lines().rfind(|line| line.split(' ').nth(1) == Some(target));
        let line = line.unwrap_or_else(|| panic!("{target} is not in {text}"));
        line.split(' ').nth(3).unwrap().split(',').map(str::to_owned).collect::<Vec<_>>()
    };
    for (target, wanted) in [
        ("/", &["rw", "nodev"][..]),
        ("/proc", &["rw", "nosuid", "nodev", "noexec"]),
        ("/dev", &["rw", "nosuid", "nodev", "size=65536k", "mode=755"]),
        ("/dev/pts", &["rw", "nosuid", "noexec", "gid=5", "mode=620", "ptmxmode=666"]),
        ("/dev/shm", &["rw", "nosuid", "nodev", "noexec", "size=65536k"]),
        ("/dev/mqueue", &["rw", "nosuid", "nodev", "noexec"]),
        ("/dev/null", &["nosuid", "noexec"]),
        ("/sys", &["ro", "nosuid", "nodev", "noexec"]),
        ("/etc/hosts", &["ro", "nosuid", "nodev", "noexec"]),
        ("/etc/resolv.conf", &["ro", "nosuid", "nodev", "noexec"]),
        ("/proc/sys", &["ro", "nosuid", "nodev", "noexec"]),
    ] {
        let found = options(target);
        for option in wanted {
            // Ids in options are those of the host.
            let differs = *option == "gid=5" && level != Level::Root;
            assert!(differs || found.iter().any(|one| one == option), "{target}: no {option} in {found:?}");
        }
    }
    let mut targets: Vec<_> = text.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    targets.sort_unstable();
    targets.retain(|target| !target.starts_with("/proc/") && !target.starts_with("/sys/"));
    let expected = [
        "/",
        "/dev",
        "/dev/full",
        "/dev/mqueue",
        "/dev/null",
        "/dev/pts",
        "/dev/random",
        "/dev/shm",
        "/dev/tty",
        "/dev/urandom",
        "/dev/zero",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/proc",
        "/sys",
    ];
    assert_eq!(targets, expected);
    assert!(!options("/dev/null").contains(&"nodev".to_owned()));
    let expected_root = text.lines().next().unwrap();
    assert!(expected_root.starts_with("overlay / "), "{expected_root}");
}

fn hosts_and_resolver_are_generated_and_leave_no_trace(_: Level) {
    let (text, root) =
        Case::new("cat /etc/hosts /etc/resolv.conf; echo x > /etc/hosts || echo read-only").run_in();
    assert!(text.starts_with("127.0.0.1 localhost builder\nnameserver 192.0.2.1\n"), "{text}");
    assert!(text.ends_with("read-only\n"), "{text}");
    let left: Vec<_> = std::fs::read_dir(root.path("upper")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn secrets_of_the_kernel_are_masked(_: Level) {
    let text = Case::new(
        "for f in kcore keys timer_list interrupts sched_debug; do cat /proc/$f; done 2>/dev/null; \
         ls -A /sys/firmware /proc/scsi /proc/acpi /sys/devices/virtual/powercap 2>/dev/null | grep -v : ; \
         echo 1 > /proc/sys/kernel/panic && echo BAD; echo b > /proc/sysrq-trigger && echo BAD; \
         echo 1 > /proc/irq/default_smp_affinity && echo BAD; touch /sys/x && echo BAD; true",
    )
    .run();
    for line in text.lines() {
        let fine = line.is_empty() || line.contains("Read-only") || line.contains("ermission denied");
        assert!(fine || line.contains("nonexistent") || line.contains("No such file"), "{text}");
    }
}

fn devices_are_the_harmless_ones(_: Level) {
    let text = Case::new(
        "cd /dev; ls | tr '\\n' ' '; echo; for n in null zero full random urandom tty; do stat -c '%n %t:%T %a' $n; done; \
         for l in fd stdin stdout stderr ptmx core; do readlink $l; done; \
         echo gone > null; head -c 3 zero | wc -c; head -c 3 urandom | wc -c; echo x > full || echo full",
    )
    .run();
    // Kernels may be built without it.
    let text = text.replacen("core fd", "fd", 1).replace("/proc/kcore\n", "");
    let expected = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero \n\
        null 1:3 666\nzero 1:5 666\nfull 1:7 666\nrandom 1:8 666\nurandom 1:9 666\ntty 5:0 666\n\
        /proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n3\n3\n";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with("full\n"), "{text}");
}

fn new_device_nodes_have_no_effect(level: Level) {
    let text = Case::new(
        "for d in / /dev /dev/shm /tmp; do mknod $d/zero2 c 1 5 && echo made && head -c 1 $d/zero2 > /out && echo BAD; done; \
         chmod 600 /dev/null; true",
    )
    .run();
    assert!(!text.contains("BAD"), "{text}");
    assert_eq!(text.contains("made"), level == Level::Root, "{text}");
    // The node is not the host's.
    assert_eq!(fs::stat_at(handle(Path::new("/dev")), "null").unwrap().mode, 0o666);
}

fn an_own_network_has_only_loopback(_: Level) {
    let mut case = Case::new(
        "readlink /proc/self/ns/net; ls /sys/class/net; cat /sys/class/net/lo/flags; ping -c 1 127.0.0.1",
    );
    case.spec.network = Network::None;
    let text = case.run();
    let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
    let mut lines = text.lines();
    assert_ne!(ours, Path::new(lines.next().unwrap()));
    assert_eq!((lines.next(), lines.next()), (Some("lo"), Some("0x9")), "{text}");
}

fn process_attributes_are_fixed(_: Level) {
    let mut case = Case::new(
        "umask; ulimit -Sn; ulimit -Hc; ulimit -Hs; cat; ls /proc/self/fd | wc -l; cut -d' ' -f6,7 /proc/1/stat; \
         cat /proc/self/oom_score_adj; env | sort",
    );
    case.spec.rlimits.push((Resource::Stack, 1 << 20, 2 << 20));
    case.spec.env.push(("A".into(), "b=c".into()));
    let text = case.run();
    // ls has one more descriptor open: the directory that it reads.
    let expected = "0022\n1024\n0\n2048\n4\n1 0\n500\n\
        A=b=c\nPATH=/usr/bin:/bin\n";
    let text = text.replace("SHLVL=1\n", "").replace("PWD=/\n", "");
    assert_eq!(text, expected);
}

fn signals_have_their_defaults(_: Level) {
    let mut case = Case::new("");
    // Not through a shell, which changes some for itself.
    case.spec.argv = ["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"].map(Into::into).into();
    let none = "0000000000000000";
    assert_eq!(case.run(), format!("SigBlk:\t{none}\nSigIgn:\t{none}\nSigCgt:\t{none}\n"));
}

fn mounts_appear_at_their_targets(_: Level) {
    let case = Case::new(
        "cat /in/dir/file; touch /in/dir/new || echo read-only; stat -c '%a %u %g' /run/secrets/key; od -An -tx1 /run/secrets/key; \
         touch /cache/kept; touch /scratch/x; stat -c %a /scratch; cat /one; stat -c %F /sock; ls /dev/extra",
    );
    let outside = tempfile::tempdir().unwrap();
    let path = |name: &str| outside.path().join(name);
    for name in ["dir", "cache"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    std::fs::write(path("dir/file"), "content\n").unwrap();
    std::fs::write(path("single"), "single\n").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    let bind = |name: &str, read_only| MountKind::Bind {
        source: handle(&path(name)),
        read_only,
        nosuid: true,
        nodev: true,
    };
    let text = case
        .mount("/in/dir", bind("dir", true))
        .mount(
            "/run/secrets/key",
            MountKind::Secret { data: b"\xff\0".to_vec(), uid: 5, gid: 6, mode: 0o400 },
        )
        .mount("/cache", bind("cache", false))
        .mount("/scratch", MountKind::Tmpfs { size_bytes: Some(1 << 20), mode: 0o1777, read_only: false })
        .mount("/one", bind("single", true))
        .mount("/sock", MountKind::Socket { source: handle(&path("socket")) })
        .mount("/dev/extra", bind("dir", true))
        .run();
    assert!(text.starts_with("content\n"), "{text}");
    let expected = "read-only\n400 5 6\n ff 00\n1777\nsingle\nsocket\nfile\n";
    assert!(text.contains(expected), "no {expected:?} in {text}");
    assert!(path("cache/kept").exists());
    assert!(!path("dir/new").exists());
}

fn targets_are_resolved_inside_the_root(_: Level) {
    let case = Case::with("cat /var/run/a/secret; ls -l /etc/resolv.conf; cat /etc/resolv.conf", |root| {
        std::fs::create_dir(root.lower("var")).unwrap();
        std::fs::create_dir(root.lower("run")).unwrap();
        symlink("/run", root.lower("var/run")).unwrap();
        std::fs::remove_file(root.lower("etc/resolv.conf")).unwrap();
        symlink("../../../run/systemd/resolve/stub.conf", root.lower("etc/resolv.conf")).unwrap();
    });
    let secret = MountKind::Secret { data: b"s3cret\n".to_vec(), uid: 0, gid: 0, mode: 0o400 };
    let (text, root) = case.mount("/var/run/a/secret", secret).run_in();
    assert!(text.starts_with("s3cret\n"), "{text}");
    assert!(text.ends_with("-> ../../../run/systemd/resolve/stub.conf\nnameserver 192.0.2.1\n"), "{text}");
    assert!(root.upper("run/a/secret").exists());
    assert_eq!(std::fs::metadata(root.upper("run/a/secret")).unwrap().len(), 0);
}

fn the_last_mount_on_a_target_wins(_: Level) {
    let secret = |text: &str| MountKind::Secret { data: text.into(), uid: 0, gid: 0, mode: 0o444 };
    let text = Case::new("cat /x/file /etc/hosts; ls /x; touch /dev/shm/x && stat -f -c %s /dev/shm")
        .mount("/x/file", secret("first\n"))
        .mount("/x/./file", secret("second\n"))
        .mount("/x", MountKind::Tmpfs { size_bytes: None, mode: 0o755, read_only: false })
        .mount("/etc/hosts", secret("mine\n"))
        .run();
    assert!(text.starts_with("second\nmine\nfile\n"), "{text}");
}

fn a_script_in_memory_can_be_executed(_: Level) {
    let script = |mode| MountKind::Secret { data: b"#!/bin/sh\necho ran\n".to_vec(), uid: 0, gid: 0, mode };
    let text = Case::new("/yes; /no; true").mount("/yes", script(0o555)).mount("/no", script(0o444)).run();
    assert!(text.starts_with("ran\n") && text.contains("ermission denied"), "{text}");
}

fn one_detached_source_serves_many_containers(level: Level) {
    if !cooper_sys::mount::can_clone_detached() {
        println!("SKIPPED: the kernel cannot clone a detached mount");
        return;
    }
    let source = cooper_sys::mount::mount_fs("tmpfs", &[], cooper_sys::mount::Attributes::default()).unwrap();
    fs::mkdir_at(&source, "sub", 0o755).unwrap();
    let sub = || fs::resolve_in_root(&source, "sub", fs::OFlags::DIRECTORY).unwrap();
    if level == Level::Root {
        fs::mknod_at(sub(), "zero", fs::FileKind::CharDevice, 0o666, 1, 5).unwrap();
    }
    for round in 0..2 {
        let bind = |source| MountKind::Bind { source, read_only: false, nosuid: false, nodev: false };
        let text = Case::new(
            "touch /in/sub/$(ls /sub | wc -l); head -c 1 /sub/zero && echo BAD; ls /sub | grep -v zero",
        )
        .mount("/in", bind(source.try_clone().unwrap()))
        .mount("/sub", bind(sub()))
        .run();
        assert!(!text.contains("BAD"), "{text}");
        assert_eq!(text.lines().filter(|line| line.len() == 1).count(), round + 1, "{text}");
    }
}

fn invalid_targets_are_refused(_: Level) {
    for target in ["/", "relative", "/a/.."] {
        let case = Case::new("true")
            .mount(target, MountKind::Tmpfs { size_bytes: None, mode: 0o755, read_only: false });
        assert!(matches!(case.try_run(), Err(Error::Spec(_))), "{target}");
    }
    for name in ["proc", "sys", "dev"] {
        let case = Case::with("true", |root| {
            std::fs::remove_dir(root.lower(name)).unwrap();
            symlink("/tmp", root.lower(name)).unwrap();
        });
        match case.try_run() {
            Err(Error::SetUp { step, .. }) => assert_eq!(step, format!("mount /{name}")),
            other => panic!("{name}: {:?}", other.map(|(status, text, _)| (status, text))),
        }
    }
}

fn an_insecure_container_has_everything(level: Level) {
    let mut case = Case::new(
        "grep -E '^(CapEff|CapPrm|CapAmb|Seccomp|NoNewPrivs):' /proc/self/status; mkdir /m; mount -t tmpfs none /m && echo mounted; \
         wc -c < /proc/timer_list; true",
    );
    case.spec.insecure = true;
    let text = case.run();
    assert!(text.contains("Seccomp:\t0\n") && text.contains("mounted\n"), "{text}");
    let bounding = cooper_sys::capability::bounding_set();
    for set in ["CapPrm", "CapEff", "CapAmb"] {
        assert!(text.contains(&format!("{set}:\t{bounding:016x}\n")), "{text}");
    }
    if level == Level::Root {
        assert_ne!(text.lines().last(), Some("0"), "{text}");
    }
}

fn commands_that_cannot_be_executed(_: Level) {
    let cases: [(&[&str], &str, i32); 7] = [
        (&["nope", "x"], "exec: \"nope\": executable file not found in $PATH", 127),
        (&["/nope"], "exec: \"/nope\": stat /nope: no such file or directory", 127),
        (&["/etc/hosts"], "exec: \"/etc/hosts\": permission denied", 126),
        (&["/etc"], "exec: \"/etc\": is a directory", 126),
        (&["/script"], "exec /script: no such file or directory", 127),
        (&["/format"], "exec /format: exec format error", 126),
        (&["hidden"], "exec: \"hidden\": executable file not found in $PATH", 127),
    ];
    for (argv, message, code) in cases {
        let mut case = Case::with("", |root| {
            for (name, text) in [("script", "#!/missing\n"), ("format", "text\n"), ("hidden", "#!/bin/sh\n")]
            {
                std::fs::write(root.lower(name), text).unwrap();
                std::fs::set_permissions(root.lower(name), Permissions::from_mode(0o755)).unwrap();
            }
        });
        case.spec.argv = argv.iter().map(Into::into).collect();
        case.spec.env = vec![("PATH".into(), ":.:relative:/bin".into())];
        match case.try_run() {
            Err(Error::Exec { message: got, exit_code }) => {
                assert_eq!((got.as_str(), exit_code), (message, code));
            }
            other => panic!("{argv:?}: {:?}", other.map(|(status, text, _)| (status, text))),
        }
    }
    assert_eq!(Case::new("exit 7").try_run().unwrap().0, ExitStatus::Code(7));
    assert_eq!(Case::new("(sleep 0; exit 3) & wait $!; exit $?").try_run().unwrap().0, ExitStatus::Code(3));
}

fn failed_set_up_names_the_step(level: Level) {
    let mut case = Case::new("true");
    case.spec.cwd = "/missing".into();
    assert_eq!(
        case.try_run().err().unwrap().to_string(),
        "cannot set up container: working directory: chdir /missing: No such file or directory (os error 2)"
    );
    if level != Level::Root {
        let mut case = Case::new("true");
        case.spec.user.uid = 3_000_000;
        assert!(
            case.try_run()
                .err()
                .unwrap()
                .to_string()
                .starts_with("cannot set up container: user: setuid 3000000")
        );
    }
}

fn mount_targets_are_those_in_the_root(_: Level) {
    let tmpfs = || MountKind::Tmpfs { size_bytes: None, mode: 0o755, read_only: false };
    let secret = || MountKind::Secret { data: Vec::new(), uid: 0, gid: 0, mode: 0o400 };
    let case = Case::new("true")
        .mount("/dev/x", tmpfs())
        .mount("/a", tmpfs())
        .mount("/a/b", tmpfs())
        .mount("/k/s", secret());
    let targets = case.spec.mount_targets();
    let expected = [
        ("/a", TargetKind::Dir),
        ("/dev", TargetKind::Dir),
        ("/etc/hosts", TargetKind::File),
        ("/etc/resolv.conf", TargetKind::File),
        ("/k/s", TargetKind::File),
        ("/proc", TargetKind::Dir),
        ("/sys", TargetKind::Dir),
    ];
    assert_eq!(targets, expected.map(|(path, kind)| (path.into(), kind)));
}
