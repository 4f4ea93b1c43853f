"""Cooper, crane and skopeo behind the verbs of a transfer, each as a user would call it.

`hold` keeps an image on this machine, where `push` finds it: Cooper in its store, the others in an OCI layout. `pull`
brings one into a directory: Cooper's is a store, whose content is on disk when the command ends. Each verb returns
(seconds, peak resident bytes).
"""
import shutil

from tools import run, run_watched


class Cooper:
    name = "cooper"

    def __init__(self, place, binary):
        self.binary, self.store = binary, place / "cooper-to-push"

    def command(self, *words, store=None):
        return [self.binary, "--root", store or self.store, *words]

    def hold(self, source, image):
        run(self.command("pull", "--quiet", source))

    def name_it(self, source, target):
        run(self.command("tag", source, target))

    def push(self, target, image):
        return run_watched(self.command("push", "--quiet", target))

    def pull(self, source, place):
        return run_watched(self.command("pull", "--quiet", source, store=place))

    def copy(self, source, target):
        return run_watched(self.command("copy", "--quiet", source, target))


class Crane:
    name = "crane"

    @staticmethod
    def missing():
        return None if shutil.which("crane") else "crane is not installed"

    def hold(self, source, image):
        pass

    def name_it(self, source, target):
        pass

    def push(self, target, image):
        return run_watched(["crane", "push", "--insecure", image.place, target])

    def pull(self, source, place):
        return run_watched(["crane", "pull", "--insecure", "--format=oci", source, place])

    def copy(self, source, target):
        return run_watched(["crane", "copy", "--insecure", source, target])


class Skopeo(Crane):
    name = "skopeo"

    @staticmethod
    def missing():
        return None if shutil.which("skopeo") else "skopeo is not installed"

    def push(self, target, image):
        return run_watched(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{image.place}:latest", f"docker://{target}"])

    def pull(self, source, place):
        return run_watched(["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{source}", f"oci:{place}:1"])

    def copy(self, source, target):
        return run_watched(["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false",
                            f"docker://{source}", f"docker://{target}"])


PEERS = (Crane, Skopeo)
