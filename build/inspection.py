"""Reads a source's files without loading the model, and reports every problem that prevents a build."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from build import preflight, sentence
from build.architecture import check_encoder
from build.errors import BuildError, check_all
from build.pooling import Pooling
from build.sentence import Sentence
from build.sources import folder, weight_files
from build.sources.snapshot import Snapshot


@dataclass(frozen=True)
class Reading:
    """What a source's files say; nothing in them prevents a build."""

    snapshot: Snapshot
    architecture: str
    settings: Sentence


def read(snapshot: Snapshot, pooling: Pooling | None = None) -> Reading:
    """Read a source's files; `pooling` is that of one that has no modules.json.

    Raises:
        BuildError: it cannot be built; with all problems.
    """
    encoder = sentence.encoder(snapshot)
    _, architecture, settings = check_all(
        partial(weight_files.check, encoder), partial(check_encoder, encoder), partial(sentence.read, snapshot, pooling)
    )
    return Reading(snapshot, architecture, settings)


def read_folder(path: Path, pooling: Pooling | None = None) -> Reading:
    """Read the model files in a folder; `pooling` as for `read`.

    Raises:
        BuildError: as `read`; or it is no folder, no model's folder, or the weights are too large.
        OSError: a file cannot be read.
    """
    if not path.is_dir():
        raise BuildError(f"{path} is no folder: only a model's files on disk can be inspected")
    snapshot = folder.read(path)
    reading: Reading
    reading, _ = check_all(partial(read, snapshot, pooling), partial(preflight.check_size, snapshot))
    return reading
