"""What in a models folder a build made: working folders by a mark in them, files by the manifest, cards by a seal."""

import shutil
from pathlib import Path

from build.clean import is_card
from build.errors import BuildError
from server.migrate.ownership import owned_files
from server.model.manifest import VARIANTS, WEIGHTS, decode
from server.model.staging import OWNER

_MAY_BE_YOURS = "so it may be yours; move it away, or choose another MODELS_DIR. Nothing was changed"


def fresh(folder: Path) -> None:
    """Create an empty working folder, removing one left by a killed build.

    Raises:
        BuildError: the path exists and no build made it.
        OSError: it cannot be created.
    """
    remove(folder)
    folder.mkdir(exist_ok=True)
    (folder / OWNER).touch()


def remove(folder: Path) -> None:
    """Remove a working folder if it exists; the marker file is deleted last.

    Raises:
        BuildError: no build made it.
        OSError: it cannot be removed.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise BuildError(f"{folder} was not made by a build; move it away")
    entries = [path for path in folder.iterdir() if path.name != OWNER] if folder.exists() else []
    if entries and not (folder / OWNER).is_file():
        raise BuildError(f"{folder} holds {entries[0].name} and was not made by a build; move it away")
    for path in entries:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if folder.exists():
        (folder / OWNER).unlink(missing_ok=True)
        folder.rmdir()


def check_files(models_dir: Path, name: str) -> None:
    """Check that every file that a build of model `name` could write is free, or was written by an earlier one.

    Raises:
        BuildError: one is not; nothing was changed.
    """
    ours = listed(models_dir / f"{name}.json")
    graphs = ["onnx", *(f"{variant}.onnx" for variant in VARIANTS)]
    suffixes = ("json", "tokenizer.json", *graphs, *(f"{graph}{WEIGHTS}" for graph in graphs))
    for path in (models_dir / f"{name}.{suffix}" for suffix in suffixes):
        if _exists(path) and path.name not in ours:
            raise BuildError(f"{path} is not in the manifest of a build ({name}.json), {_MAY_BE_YOURS}")
    card = models_dir / f"{name}.md"
    if _exists(card) and not is_card(card):
        raise BuildError(f"{card} is no card that a build wrote, or was changed since, {_MAY_BE_YOURS}")


def _exists(path: Path) -> bool:
    """Whether there is a file at `path`.

    Raises:
        BuildError: it is a link, has several, or is no regular file.
    """
    try:
        owned_files.check(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise BuildError(f"{path} {error.strerror}") from None
    return True


def listed(path: Path) -> set[str]:
    """Return the names of the files in a manifest, itself included; empty if `path` is not a manifest."""
    try:
        manifest = decode(path.read_bytes())
    except (OSError, ValueError):
        return set()
    graphs = (file.file for variant in manifest.variants.values() for file in variant.files)
    return {path.name, manifest.tokenizer.file, *graphs}
