"""`python build/clean.py FOLDER`: remove the models that builds made there, by their manifests, and nothing else.

It needs no environment, since `make clean` removes those too; hence the seal of model cards is defined here.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KEYS = {"schema", "name", "tokenizer", "variants", "fidelity_texts"}
_SEAL = "<!-- A build wrote this page, and replaces it while it is unchanged. SHA-256 of the lines above: {} -->\n"


def clean(models: Path) -> list[str]:
    """Remove every built model in a folder, each manifest last; return the names of the removed files."""
    gone = []
    for manifest in sorted(models.glob("*.json")):
        files = _listed(manifest)
        for path in [*files, manifest] if files else []:
            if path.is_file() and not path.is_symlink():
                path.unlink()
                gone.append(path.name)
    return gone


def seal(page: str) -> str:
    """The last line of a card: a hash of the rest, which identifies an unchanged file of a build."""
    return _SEAL.format(hashlib.sha256(page.encode()).hexdigest())


def is_card(path: Path) -> bool:
    """Whether a file is a card as a build wrote it, unchanged since."""
    try:
        text = path.read_bytes().decode() if path.is_file() else ""
    except (OSError, ValueError):
        return False
    page = text[: -len(seal(""))]
    return text == page + seal(page)


def _listed(manifest: Path) -> list[Path]:
    """Name the files that a manifest lists, and its card; none where it is no manifest of its own name."""
    try:
        content = json.loads(manifest.read_bytes())
        if manifest.is_symlink() or not content.keys() >= KEYS or f"{content['name']}.json" != manifest.name:
            return []
        names = [file["file"] for file in _files(content)]
        card = manifest.with_suffix(".md")
        return [
            *(manifest.with_name(name) for name in names if Path(name).name == name),
            *([card] if is_card(card) else []),
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


def _files(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield content["tokenizer"]
    for variant in content["variants"].values():
        yield variant
        yield from [variant["weights"]] if "weights" in variant else []


if __name__ == "__main__":
    clean(Path(sys.argv[1]))
