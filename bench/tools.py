"""Running programs, their time and their memory."""
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path


def run(command, **options):
    """Runs a command and returns what it printed; that is shown only if it fails."""
    options = {"stdout": subprocess.PIPE, **options}
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, **options)
    if done.returncode:
        tail = (done.stdout or b"").decode(errors="replace")[-4000:]
        sys.exit(f"failed: {' '.join(map(str, command))}\n{tail}")
    return (done.stdout or b"").decode(errors="replace")


def timed(work):
    """Seconds that `work` takes."""
    start = time.monotonic()
    work()
    return time.monotonic() - start


def drop(place):
    """Frees the space of a directory, but none of its inodes: its files become empty. The name must not be used again.

    ext4 without a journal walks past every inode that was freed in the last minutes whenever it makes a file, so that
    deleting one builder's files slows the next one's turn.
    """
    for folder, _, names in os.walk(place):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and os.path.isfile(path):
                os.truncate(path, 0)


@contextlib.contextmanager
def scratch(parent):
    """A directory for one use, dropped after it."""
    place = Path(tempfile.mkdtemp(prefix="scratch-", dir=parent))
    try:
        yield place
    finally:
        drop(place)


class Peak:
    """The largest resident set of one process (not of its children), in bytes, while the block runs."""

    def __init__(self, pid=None):
        self.pid, self.bytes, self._stop = pid, 0, threading.Event()

    def __enter__(self):
        if self.pid:
            self._reset()
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def _reset(self):
        try:
            Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        except OSError:
            pass

    def _watch(self):
        while True:
            try:
                status = Path(f"/proc/{self.pid}/status").read_text()
                self.bytes = max(self.bytes, int(status.split("VmHWM:")[1].split()[0]) * 1024)
            except (OSError, IndexError):
                return
            if self._stop.wait(0.005):
                return

    def __exit__(self, *_):
        self._stop.set()
        if self.pid:
            self._thread.join()


def run_watched(command, **options):
    """Runs a command; returns its seconds and the peak resident set of its own process in bytes."""
    with subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options) as child:
        start = time.monotonic()
        with Peak(child.pid) as peak:
            output = child.stdout.read()
            # VmHWM is gone once the process is: the watcher keeps the last that it saw.
            _, status, _ = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
    if child.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{output.decode(errors='replace')[-4000:]}")
    return seconds, peak.bytes
