"""Reads a source's files without loading the model, and reports every problem that prevents a build."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from build import sentence
from build.architecture import check_encoder
from build.errors import BuildError, check_all
from build.pooling import Pooling
from build.sentence import Sentence
from build.sources import folder, weight_files
from build.sources.snapshot import Form, Snapshot, place


@dataclass(frozen=True)
class Reading:
    """What a source's files say; nothing in them prevents a build."""

    snapshot: Snapshot
    architecture: str
    settings: Sentence
    graph: str | None = None
    """The name of the model's own ONNX file in the encoder's folder, if the build is to begin with it."""


def read(snapshot: Snapshot, pooling: Pooling | None = None, form: Form = "weights") -> Reading:
    """Read a source's files; `pooling` is that of one that has no modules.json.

    Raises:
        BuildError: it cannot be built; with all problems.
    """
    encoder = sentence.encoder(snapshot)
    begin = partial(place, encoder) if form == "onnx" else partial(weight_files.check, encoder)
    graph, architecture, settings = check_all(
        begin, partial(check_encoder, encoder), partial(sentence.read, snapshot, pooling)
    )
    return Reading(snapshot, architecture, settings, graph)


def read_folder(path: Path, pooling: Pooling | None = None, form: Form = "weights") -> Reading:
    """Read the model files in a folder; `pooling` and `form` as for `read`.

    Raises:
        BuildError: as `read`; or it is no folder, or no model's folder.
        OSError: a file cannot be read.
    """
    if not path.is_dir():
        raise BuildError(f"{path} is no folder: only a model's files on disk can be inspected")
    return read(folder.read(path, form), pooling, form)
