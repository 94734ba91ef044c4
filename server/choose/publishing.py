"""Writes the verdict into the model's manifest."""

from pathlib import Path

import msgspec

from server.choose.errors import ChooseError
from server.migrate.ownership import owned_files
from server.model.artifact import read_manifest
from server.model.manifest import Manifest, QualityVerdict, encode


def check_writable(models_dir: Path, name: str) -> None:
    """Check that the manifest can be replaced, before anything is computed.

    Raises:
        ChooseError: it cannot.
    """
    path = models_dir / f"{name}.json"
    probe = path.with_name(f"{path.name}.new")
    try:
        owned_files.check(path)
        owned_files.remove(probe)
        owned_files.put(probe.with_name(f"{path.name}.probe"), b"")
        owned_files.remove(probe.with_name(f"{path.name}.probe"))
    except OSError as error:
        raise ChooseError(
            f"the verdict could not be written into {path}: {error.strerror or error}. Make {models_dir} writable, or "
            "choose on a copy of it; nothing was computed"
        ) from None


def publish(models_dir: Path, measured: Manifest, verdict: QualityVerdict) -> QualityVerdict | None:
    """Write the verdict atomically, and return the one that it replaces.

    Raises:
        ChooseError: the model was built anew since it was measured.
        OSError: it cannot be written.
    """
    present = read_manifest(models_dir, measured.name)
    old = None if present.chosen is msgspec.UNSET else present.chosen
    if msgspec.structs.replace(present, chosen=measured.chosen) != measured:
        raise ChooseError(
            f"{measured.name} was built anew while it was measured; choose again. The manifest was not changed"
        )
    path = models_dir / f"{measured.name}.json"
    owned_files.put(path, encode(msgspec.structs.replace(present, chosen=verdict)))
    return old
