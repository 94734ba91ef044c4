"""Locate a built model's original weights and configuration. Runs in the build environment."""

from bench import source
from bench.contenders import Task


def prepare(task: Task) -> dict[str, object]:
    """Return `folder`, the weights' folder, and `config`, the parsed config.json.

    Raises:
        BuildError: the weights cannot be found.
    """
    return source.described(source.snapshot(task))
