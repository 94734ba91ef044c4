"""Checks that the weights of a snapshot are there and whole, from the headers of their files alone."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from build.errors import BuildError, raise_if_any
from build.sources.snapshot import Snapshot

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def check(snapshot: Snapshot) -> None:
    """Check that the weights that transformers loads can be read without running code.

    Raises:
        BuildError: they are missing, only pickle, or cut short; or a shard lacks what the index says it holds.
    """
    if _SINGLE in snapshot.files:
        names, problem = _tensors(snapshot.folder / _SINGLE)
        raise_if_any([problem or ("" if names else f"{snapshot.folder / _SINGLE} holds no weights")])
    elif _INDEX in snapshot.files:
        raise_if_any(_of_shard(snapshot, name, held) for name, held in _shards(snapshot).items())
    else:
        raise BuildError(_none(snapshot.folder))


def _tensors(path: Path) -> tuple[set[str], str]:
    """Return the names of a file's tensors, and why it cannot be read, or ''."""
    try:
        with safe_open(path, "np") as file:
            return set(file.keys()), ""
    except (SafetensorError, OSError) as error:
        return set(), f"{path} is damaged or cut short ({error}); fetch it again"


def _shards(snapshot: Snapshot) -> Mapping[str, set[str]]:
    """Return the tensors of each shard, by the index."""
    where, stated = snapshot.folder / _INDEX, snapshot.json(_INDEX).get("weight_map")
    if not isinstance(stated, dict) or not stated or not all(isinstance(name, str) for name in stated.values()):
        raise BuildError(f"{where} does not say which file holds which weights ('weight_map'); fetch it again")
    return {name: {tensor for tensor, held in stated.items() if held == name} for name in sorted(set(stated.values()))}


def _of_shard(snapshot: Snapshot, name: str, stated: set[str]) -> str:
    if name not in snapshot.files:
        return f"{snapshot.folder} has no {name}, which {_INDEX} names; fetch it"
    names, problem = _tensors(snapshot.folder / name)
    if not problem and names != stated:
        example = min(names ^ stated)
        return f"{snapshot.folder / name} and {_INDEX} differ in what it holds, such as {example}; fetch both again"
    return problem


def _none(folder: Path) -> str:
    pickles = sorted(path.name for path in folder.glob("*") if path.suffix in _PICKLES)
    if pickles:
        return (
            f"{folder} has weights only as pickle ({', '.join(pickles)}), which runs code when it is loaded. "
            "Convert them to model.safetensors first (`safetensors.torch.save_file`), on a machine you can lose."
        )
    return f"{folder} has no weights: expected model.safetensors beside config.json"
