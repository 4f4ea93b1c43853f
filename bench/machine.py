"""What the machine itself needs for a workload: the physical limit that each result is compared with."""
import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tools import run, scratch, timed

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x20000000, 0x04000000, 0x08000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def stat_walk(context):
    """One stat of every file, by find(1)."""
    return timed(lambda: run(["find", context, "-printf", "%s %T@\n"]))


def copy_and_hash(context):
    """Reads every file, writes it once, and hashes the archive of all of them."""
    command = 'tar -C "$1" -cf - . | sha256sum & cp -r "$1" "$2" && wait'
    with scratch(context.parent) as place:
        return timed(lambda: run(["sh", "-c", command, "sh", context, place]))


def compress(context, program):
    """tar through a compressor that uses all processors; None when it is not installed."""
    if not shutil.which(program[0]):
        return None
    command = 'tar -C "$1" -cf - . | ' + " ".join(program)
    return timed(lambda: run(["sh", "-c", command, "sh", context], stdout=subprocess.DEVNULL))


def containers(count, root):
    """`count` times: clone with namespaces, mount an overlay over `root`, change root, run /bin/echo; one after another."""
    place = Path(tempfile.mkdtemp(prefix="scratch-", dir=root.parent))
    for name in ("upper", "work", "merged"):
        (place / name).mkdir()
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

    start = time.monotonic()
    return time.monotonic() - start if all_of_them() else None


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
    urls = [f"{registry.url(repository)}/blobs/{digest}" for digest in registry.blobs(repository)]
    with scratch(place) as folder:
        return timed(lambda: curl(folder, [f'url = "{url}"\noutput = "{n}"' for n, url in enumerate(urls)], ["sync", "-f", "."]))


def upload(registry, repository, files):
    """curl of files to a registry in parallel, each as the one PUT that ends an upload begun before the clock."""
    if not shutil.which("curl"):
        return None
    begun = [(registry.begin(repository, f"sha256:{file.name}"), file) for file in files]
    with scratch(registry.place) as folder:
        requests = [f'url = "{url}"\nupload-file = "{file}"\noutput = "/dev/null"' for url, file in begun]
        return timed(lambda: curl(folder, requests, ["true"], "-H", "Content-Type: application/octet-stream"))


def relay(source, target, repository):
    """Each blob of an image through a pipe from one registry to another, eight at once."""
    if not shutil.which("curl"):
        return None
    pairs = [f"{source.url(repository)}/blobs/{digest}\n{target.begin(repository, digest)}\n"
             for digest in source.blobs(repository)]
    with scratch(target.place) as folder:
        (folder / "pairs").write_text("".join(pairs))
        pipe = 'curl -sSf "$0" | curl -sSf -T - -H "Content-Type: application/octet-stream" "$1"'
        return timed(lambda: run(["xargs", "-a", folder / "pairs", "-n", "2", "-P", "8", "sh", "-c", pipe]))


def ask(registry, repository):
    """One HEAD for the manifest."""
    if not shutil.which("curl"):
        return None
    url = f"{registry.url(repository)}/manifests/1"
    return timed(lambda: run(["curl", "-sSfI", "-H", f"Accept: {registry.ACCEPT}", url]))


def curl(folder, requests, after, *words):
    """One curl for many requests, then a command, both in `folder`."""
    (folder / "requests").write_text("\n".join(requests))
    run(["curl", "-sSf", "--parallel", "--parallel-immediate", *words, "-K", "requests"], cwd=folder)
    run(after, cwd=folder)


def command_in_root(root, script):
    """A shell command in a copy of a root directory, without any builder."""
    inner = 'mount -t proc proc "$1/proc" && exec chroot "$1" sh -c "$2"'
    with scratch(root.parent) as place:
        copy = place / "root"
        run(["cp", "-a", root, copy])
        shutil.copy("/etc/resolv.conf", copy / "etc/resolv.conf")
        return timed(lambda: run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", inner, "sh", copy, script]))


def true():
    """The start of a program that does nothing."""
    return min(timed(lambda: run(["/bin/true"])) for _ in range(10))


def have_root():
    """Whether mounts can be made here."""
    return os.geteuid() == 0 and Path("/proc/filesystems").read_text().find("overlay") >= 0
