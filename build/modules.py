"""The modules in modules.json: kinds, order and folders. Unknown modules are refused by name."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from build import known_settings
from build.errors import BuildError
from build.sources.snapshot import Snapshot

_AFTER_POOLING = ("Dense", "LayerNorm", "Dropout", "Normalize")
_SUPPORTED = f"supported are Transformer, then Pooling, then any of {', '.join(_AFTER_POOLING)} in any order"


@dataclass(frozen=True)
class Module:
    """One entry: the name of its class, and its folder ('' for the model's own)."""

    kind: str
    folder: str


@dataclass(frozen=True)
class Modules:
    """A model's modules; `after` lists those between pooling and the final normalisation of every graph."""

    transformer: Module
    pooling: Module
    after: tuple[Module, ...]
    normalizes: bool
    """Whether the model itself ends in Normalize."""


def read(snapshot: Snapshot) -> Modules:
    """Read modules.json; sentence-transformers runs modules in list order and ignores `idx`.

    Raises:
        BuildError: a module is unknown or custom code, or the order is not supported.
    """
    where = f"{snapshot.folder / known_settings.MODULES}"
    listed = snapshot.value(known_settings.MODULES)
    if not isinstance(listed, list):
        raise BuildError(f"{where} is not a list of modules")
    entries = [known_settings.check_module(entry, where) for entry in listed]
    modules = [_module(snapshot, entry) for entry in entries]
    kinds = [module.kind for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or set(kinds[2:]) - set(_AFTER_POOLING):
        raise BuildError(f"{snapshot.id} has the modules {', '.join(kinds) or 'none'}; {_SUPPORTED}")
    return _ordered(modules)


def _ordered(modules: list[Module]) -> Modules:
    # Dropout does nothing at inference.
    after = [module for module in modules[2:] if module.kind != "Dropout"]
    normalizes = bool(after) and after[-1].kind == "Normalize"
    return Modules(modules[0], modules[1], tuple(after[:-1] if normalizes else after), normalizes)


def _module(snapshot: Snapshot, entry: dict[str, object]) -> Module:
    path = str(entry["type"])
    kind = path.rsplit(".", 1)[-1]
    if kind not in ("Transformer", "Pooling", *_AFTER_POOLING):
        raise BuildError(f"{snapshot.id} has module {kind}; {_SUPPORTED}")
    if not path.startswith("sentence_transformers."):
        raise BuildError(f"{snapshot.id} needs code of its own for {path!r}, which is never run here")
    folder = PurePosixPath(str(entry["path"])).as_posix()
    return Module(kind, "" if folder == "." else folder)
