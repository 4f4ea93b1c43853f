"""A Docker daemon of our own for --load: each cold turn begins with one that has nothing."""
import os
import shutil
import subprocess
import sys
import time

from machine import have_root


class Dockerd:
    """Ends and begins anew with `fresh`; `stop` ends it. `docker` finds it by DOCKER_HOST."""

    def __init__(self, place):
        self.place, self.turn, self.process = place, 0, None
        place.mkdir()
        os.environ["DOCKER_HOST"] = f"unix://{place}/socket"

    @staticmethod
    def missing():
        if not have_root():
            return "dockerd needs root"
        return None if shutil.which("docker") and shutil.which("dockerd") else "Docker is not installed"

    def fresh(self):
        """A daemon without images. What the last one had stays: see `tools.drop`."""
        self.stop()
        self.turn += 1
        words = ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--data-root", self.place / f"data-{self.turn}",
                 "--exec-root", self.place / "exec", "--pidfile", self.place / "pid", "--host", os.environ["DOCKER_HOST"]]
        with open(self.place / "log", "ab") as log:
            self.process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log)
        for _ in range(500):
            if subprocess.run(["docker", "version"], capture_output=True).returncode == 0:
                return
            time.sleep(0.05)
        sys.exit(f"dockerd does not start: {self.place}/log")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None
