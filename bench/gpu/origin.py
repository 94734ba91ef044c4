"""Where a built model's original weights are and what its configuration says. In the build environment."""

import json

from bench import source
from bench.contenders import Task


def prepare(task: Task) -> dict[str, object]:
    """Find the weights; returns `folder` and `config`, the model's own config.json.

    Raises:
        BuildError: they cannot be found.
    """
    found = source.snapshot(task)
    return {"folder": str(found.folder.resolve()), "config": json.loads((found.folder / "config.json").read_text())}
