"""A model folder on disk, for machines without access to the Hub."""

import hashlib
import json
import re
from pathlib import Path

from build.sources.snapshot import Form, Snapshot, inventory


def read(path: Path, form: Form = "weights") -> Snapshot:
    """Check and hash the model files in `path`, with its graph if `form` says so.

    Raises:
        BuildError: no config.json.
    """
    files = inventory(path, form)
    # A folder has no revision: use the hash of its files' hashes.
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return Snapshot(path, "folder", _id(path.resolve()), digest[:40], licence(path), files)


def _id(path: Path) -> str:
    """Return the folder's name, or the Hub id in the Hub's cache (`models--OWNER--NAME/snapshots/COMMIT`)."""
    cached = re.fullmatch(r"models--(.+)/snapshots/[^/]+", "/".join(path.parts[-3:]))
    return cached.group(1).replace("--", "/") if cached else path.name


def licence(path: Path) -> str:
    """Return the licence from the model card's front matter, or `unknown`."""
    card = path / "README.md"
    lines = card.read_text("utf-8", "replace").splitlines() if card.is_file() else []
    if not lines or lines[0] != "---":
        return "unknown"
    stated = (line.partition(":")[2].strip() for line in lines[1:] if line.startswith("license:"))
    return next(stated, "unknown") or "unknown"
