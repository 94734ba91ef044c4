"""One storage for the session; images and containers go with it, the base stays for the next run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.storage import BASE, Storage, missing
from tests.serving import ROOT


@pytest.fixture(scope="session")
def storage() -> Iterator[Storage]:
    if why := missing():
        pytest.skip(why)
    folder = Path(os.environ.get("IMAGES_DIR") or ROOT / ".cache" / "images")
    folder.mkdir(parents=True, exist_ok=True)
    made = Storage(folder)
    made.prepare()
    yield made
    others = set(made.call("images", "--all", "--quiet").splitlines())
    others -= set(made.call("images", "--quiet", "--filter", f"reference={BASE}").splitlines())
    if others:
        made.call("rmi", "--force", *others)


@pytest.fixture(scope="session")
def every_image() -> None:
    """Leave out what takes minutes and gigabytes, unless it is asked for."""
    if os.environ.get("IMAGES") != "all":
        pytest.skip("takes minutes and gigabytes: `make images` runs it")
