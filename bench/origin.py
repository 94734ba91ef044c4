"""Where a built model's original weights are and what its configuration says. In the build environment."""

from bench import source
from bench.contenders import Task


def prepare(task: Task) -> dict[str, object]:
    """Find the weights; returns `folder` and `config`, the model's own config.json.

    Raises:
        BuildError: they cannot be found.
    """
    return source.described(source.snapshot(task))
