"""What the machine itself needs for a workload: the physical limit that each result is compared with."""
import ctypes
import os
import shutil
import subprocess
import time
from pathlib import Path

from tools import run, timed

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x20000000, 0x04000000, 0x08000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def stat_walk(context):
    """One stat of every file, by find(1)."""
    return timed(lambda: run(["find", context, "-printf", "%s %T@\n"]))


def copy_and_hash(context):
    """Reads every file, writes it once, and hashes the archive of all of them."""
    copy = context.parent / "limit-copy"
    command = 'tar -C "$1" -cf - . | sha256sum & cp -r "$1" "$2" && wait'
    try:
        return timed(lambda: run(["sh", "-c", command, "sh", context, copy]))
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def compress(context, program):
    """tar through a compressor that uses all processors; None when it is not installed."""
    if not shutil.which(program[0]):
        return None
    command = 'tar -C "$1" -cf - . | ' + " ".join(program)
    return timed(lambda: run(["sh", "-c", command, "sh", context], stdout=subprocess.DEVNULL))


def containers(count, root):
    """`count` times: clone with namespaces, mount an overlay over `root`, change root, run /bin/echo; one after another."""
    place = root.parent / "limit-overlay"
    for name in ("upper", "work", "merged"):
        (place / name).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={root},upperdir={place}/upper,workdir={place}/work".encode()

    def child():
        if LIBC.unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC):
            os._exit(1)
        inner = os.fork()
        if inner:
            os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))
        LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
        if LIBC.mount(b"overlay", bytes(place / "merged"), b"overlay", 0, options):
            os._exit(1)
        os.chroot(place / "merged")
        os.chdir("/")
        os.dup2(os.open("/dev/null", os.O_RDWR | os.O_CREAT), 1)
        os.execv("/bin/echo", ["echo", "x"])

    def all_of_them():
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                try:
                    child()
                finally:
                    os._exit(1)
            if os.waitpid(pid, 0)[1]:
                return None
        return True

    try:
        start = time.monotonic()
        return time.monotonic() - start if all_of_them() else None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sleepers(count, seconds):
    """`count` processes that sleep, all at once."""

    def work():
        children = [subprocess.Popen(["sleep", str(seconds)]) for _ in range(count)]
        for child in children:
            child.wait()

    return timed(work)


def download(registry, repository, place):
    """curl of all blobs of an image in parallel, then one sync of the file system."""
    if not shutil.which("curl"):
        return None
    place.mkdir()
    words = ["curl", "-sSf", "--parallel", "--parallel-immediate"]
    for number, digest in enumerate(registry.blobs(repository)):
        words += ["-o", place / str(number), f"http://{registry.address}/v2/{repository}/blobs/{digest}"]
    try:
        return timed(lambda: run(["sh", "-c", '"$@" && sync -f .', "sh", *words], cwd=place))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write_archive(context):
    """The archive of all files, written to disk."""
    archive = context.parent / "limit.tar"
    try:
        return timed(lambda: run(["sh", "-c", 'tar -C "$1" -cf "$2" . && sync -f "$2"', "sh", context, archive]))
    finally:
        archive.unlink(missing_ok=True)


def command_in_root(root, script):
    """A shell command in a copy of a root directory, without any builder."""
    copy = root.parent / "limit-root"
    run(["cp", "-a", root, copy])
    shutil.copy("/etc/resolv.conf", copy / "etc/resolv.conf")
    inner = 'mount -t proc proc "$1/proc" && exec chroot "$1" sh -c "$2"'
    try:
        return timed(lambda: run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", inner, "sh", copy, script]))
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def true():
    """The start of a program that does nothing."""
    return min(timed(lambda: run(["/bin/true"])) for _ in range(10))


def have_root():
    """Whether mounts can be made here."""
    return os.geteuid() == 0 and Path("/proc/filesystems").read_text().find("overlay") >= 0
