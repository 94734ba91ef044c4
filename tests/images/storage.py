"""buildah with a storage of its own: a base made from Debian's packages, and the images built on it."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.serving import ROOT

BASE = "localhost/embedding-base:bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
# pip's options that say where packages come from. Others (a file of constraints, say) are this machine's own business.
INDEX_OPTIONS = {"cert", "extra-index-url", "find-links", "index-url", "no-index", "timeout", "trusted-host"}
# What Debian's own slim images leave out too.
NOT_SLIM = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
)


def missing() -> str:
    """What this machine lacks to build an image, in a word; empty where nothing is missing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "building an image without a daemon takes Linux and root"
    tools = [tool for tool in ("buildah", "debootstrap", "unshare", "nsenter", "ip") if not shutil.which(tool)]
    return f"not installed: {', '.join(tools)} (apt-get install buildah debootstrap iproute2)" if tools else ""


@dataclass(frozen=True)
class Storage:
    """A folder that holds the base, the images and the containers made of them."""

    folder: Path

    def command(self, *arguments: str) -> list[str]:
        """The command line of buildah on this storage."""
        places = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]
        return ["buildah", *places, "--storage-driver", "vfs", *arguments]

    def call(self, *arguments: str) -> str:
        """Run buildah; return what it printed. A failure fails the test with all that it said."""
        done = subprocess.run(self.command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"buildah {arguments[0]}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()

    def prepare(self) -> None:
        """Make the base unless an earlier run has left it here, and remove what one that was killed has left."""
        self.call("rm", "--all")
        if self.call("images", "--quiet", "--filter", f"reference={BASE}"):
            return
        made = self.folder / "base"
        shutil.rmtree(made, ignore_errors=True)
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(made)]
        done = subprocess.run(bootstrap, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"debootstrap:\n{done.stdout[-4000:]}"
        for folder in NOT_SLIM:
            shutil.rmtree(made / folder, ignore_errors=True)
        container = self.call("from", "scratch")
        self.call("add", "--quiet", container, str(made), "/")
        self.call("commit", "--quiet", "--rm", container, BASE)
        shutil.rmtree(made)

    def build(self, dockerfile: str, tag: str, **arguments: str) -> None:
        """Build `dockerfile` on the base, with this machine's package index, and tag the image."""
        given = {"BASE_IMAGE": BASE, "TORCH_INDEX": os.environ.get("TORCH_INDEX", "")} | arguments
        options = [f"--build-arg={name}={value}" for name, value in given.items()]
        places = ("bud", "--isolation=chroot", "--format=docker", "--no-cache", f"--file={dockerfile}", f"--tag={tag}")
        self.call(*places, *options, *self._package_index(), ".")

    def _package_index(self) -> list[str]:
        """Mounts that bring pip's configuration, the folders that it names and the certificates into a build."""
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
        ).stdout
        found = dict(re.findall(r"^(?:global|:env:)\.([a-z-]+)='(.*)'$", listed, re.MULTILINE))
        options = {name: value for name, value in found.items() if name in INDEX_OPTIONS}
        config = self.folder / "pip.conf"
        config.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()), "utf-8")
        words = [word.removeprefix("file://") for value in options.values() for word in value.split()]
        folders = {Path(word) for word in words if word.startswith("/")} | {Path("/etc/ssl/certs")}
        # The files of an index in a folder lie beside its pages.
        folders = {folder.parent if folder.name == "simple" else folder for folder in folders}
        same = [f"--volume={folder}:{folder}:ro" for folder in sorted(folders) if folder.is_dir()]
        return [f"--volume={config}:/etc/pip.conf:ro", *same]


def unpacked_bytes(root: Path) -> int:
    """Bytes of all files under `root`, each counted once whatever its number of names."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            status = (Path(folder) / name).lstat()
            found[status.st_ino] = status.st_size
    return sum(found.values())
