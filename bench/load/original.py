"""Where the original weights of a built model are; run by `bench.worker` in the build's environment."""

from bench import source
from bench.contenders import Task


def prepare(task: Task) -> dict[str, str]:
    """Find or fetch the source; the answer has its `folder`.

    Raises:
        BuildError: it cannot be found.
    """
    return {"folder": str(source.snapshot(task).folder.resolve())}
