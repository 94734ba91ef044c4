"""`python build/clean.py FOLDER`: remove the models that builds made there, by their manifests, and nothing else.

It needs no environment, since `make clean` removes those too.
"""

import json
import sys
from pathlib import Path

KEYS = {"schema", "name", "tokenizer", "variants", "fidelity_texts"}


def clean(models: Path) -> list[str]:
    """Remove every built model in a folder; return the names of the files that went, the manifest of each last."""
    gone = []
    for manifest in sorted(models.glob("*.json")):
        for path in [*_listed(manifest), *([manifest] if _listed(manifest) else [])]:
            if path.is_file() and not path.is_symlink():
                path.unlink()
                gone.append(path.name)
    return gone


def _listed(manifest: Path) -> list[Path]:
    """Name the files that a manifest lists; none where it is no manifest of its own name."""
    try:
        found = json.loads(manifest.read_bytes())
        if manifest.is_symlink() or not found.keys() >= KEYS or f"{found['name']}.json" != manifest.name:
            return []
        names = [found["tokenizer"]["file"], *(variant["file"] for variant in found["variants"].values())]
        return [manifest.with_name(name) for name in names if Path(name).name == name]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


if __name__ == "__main__":
    clean(Path(sys.argv[1]))
