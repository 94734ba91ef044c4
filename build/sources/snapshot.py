"""A snapshot: one model's source files, checked and hashed before use."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from build.errors import BuildError
from server.model.artifact import sha256

Form = Literal["weights", "onnx"]
"""What of a model a build begins with: its weights in safetensors, or its own ONNX file."""

# No pickle, which executes code when loaded, and no Python files; weights come from safetensors only. `.model` is
# SentencePiece's vocabulary.
ALLOWED = (".safetensors", ".json", ".txt", ".model")
# A model's own graph, and the file of its weights where they do not fit into the graph's.
GRAPH_FILES = ("model.onnx", "model.onnx_data", "model.onnx.data")
# In search order: of the Hub and sentence-transformers, of optimum.
_PLACES = ("onnx/model.onnx", "model.onnx")
# File systems allow 255 characters; suffixes follow the name.
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Snapshot:
    """A model's files under `folder`, and their origin. `files` maps names to SHA-256."""

    folder: Path
    kind: Literal["hub", "folder", "package", "synthetic"]
    id: str
    revision: str
    licence: str
    files: dict[str, str]

    @property
    def name(self) -> str:
        """The artifact's name in `models/`: the last part of the id, reduced to portable characters."""
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", self.id.rstrip("/").split("/")[-1]).strip("-.")
        return safe.lstrip("-._")[:_LONGEST_NAME] or "model"

    @property
    def weight_files(self) -> list[Path]:
        """The files of the weights: those of the model's own graph if the build begins with it, else safetensors."""
        graphs = [name for name in self.files if name.endswith(GRAPH_FILES)]
        names = graphs or [name for name in self.files if name.endswith(".safetensors")]
        return [self.folder / name for name in names]

    def inner(self, folder: str) -> "Snapshot":
        """Return the encoder's part of the snapshot, in `folder` ('' for the top folder)."""
        own = [name for name in map(PurePosixPath, self.files) if name.is_relative_to(folder)]
        files = {name.relative_to(folder).as_posix(): self.files[name.as_posix()] for name in own}
        return replace(self, folder=self.folder / folder, files=files)

    def json(self, name: str) -> dict[str, Any]:
        """Read a file as a JSON object.

        Raises:
            BuildError: missing, or not a JSON object.
        """
        value = self.value(name)
        if not isinstance(value, dict):
            raise BuildError(f"{self.folder / name} holds no JSON object")
        return value

    def value(self, name: str) -> object:
        """Read a file as a JSON value.

        Raises:
            BuildError: missing or malformed.
        """
        if name not in self.files:
            raise BuildError(f"{self.folder} has no {name}; it is part of every sentence-transformers model")
        try:
            text = (self.folder / name).read_text("utf-8")
            if text.startswith("\ufeff"):
                raise BuildError(f"{self.folder / name} begins with a byte order mark; save it as UTF-8 without one")
            parsed: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BuildError(f"{self.folder / name} is not JSON: {error}") from error
        return parsed


def inventory(folder: Path, form: Form = "weights") -> dict[str, str]:
    """Name and SHA-256 of every allowed file under `folder`, in sorted order; graphs only for a build from one.

    Raises:
        BuildError: neither modules.json nor config.json.
    """
    graphs = GRAPH_FILES if form == "onnx" else ()
    paths = sorted(
        path for path in folder.rglob("*") if path.is_file() and (path.suffix in ALLOWED or path.name in graphs)
    )
    visible = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    names = [path.relative_to(folder).as_posix() for path in visible]
    if not {"modules.json", "config.json"} & set(names):
        raise BuildError(f"{folder} has no config.json: it is not a model's folder")
    return {name: sha256(folder / name) for name in names}


def place(encoder: Snapshot) -> str:
    """Return the name of the graph's file within the encoder's part of a snapshot.

    Raises:
        BuildError: there is none.
    """
    for name in _PLACES:
        if name in encoder.files:
            return name
    raise BuildError(f"{encoder.folder} has no {' or '.join(_PLACES)} to build from; build it without FROM=onnx")
