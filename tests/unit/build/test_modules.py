"""modules.json: which modules there are, in what order, and what is refused of it."""

import json
from pathlib import Path

import pytest

from build import modules
from build.errors import BuildError
from build.modules import Module, Modules
from build.sources.snapshot import Snapshot


def read(folder: Path, *kinds: str, **first: str) -> Modules:
    entries = [
        {
            "idx": 9 - index,
            "name": str(index),
            "path": f"{index}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, kind in enumerate(kinds)
    ]
    entries[0] |= {"path": "", **first}
    (folder / "modules.json").write_text(json.dumps(entries))
    return modules.read(Snapshot(folder, "folder", "tiny", "r", "mit", {"modules.json": ""}))


def test_the_list_s_order_holds_and_dropout_and_the_last_normalisation_are_none_of_it(tmp_path: Path) -> None:
    found = read(tmp_path, "Transformer", "Pooling", "Normalize", "Dropout", "Dense", "Normalize", "Dropout")
    assert found.transformer == Module("Transformer", "")
    assert found.pooling == Module("Pooling", "1_Pooling")
    assert found.after == (Module("Normalize", "2_Normalize"), Module("Dense", "4_Dense"))
    assert found.normalizes


def test_a_model_that_ends_in_another_module_does_not_normalise(tmp_path: Path) -> None:
    assert not read(tmp_path, "Transformer", "Pooling", "Normalize", "Dense").normalizes
    assert read(tmp_path, "Transformer", "Pooling").after == ()


@pytest.mark.parametrize(
    "kinds", [("Pooling", "Transformer"), ("Transformer", "Dense", "Pooling"), ("Transformer", "Pooling", "Pooling")]
)
def test_refuses_another_order(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    with pytest.raises(BuildError, match=f"has the modules {', '.join(kinds)}; supported are Transformer, then"):
        read(tmp_path, *kinds)


def test_refuses_a_module_by_name_and_code_of_the_repository_s_own(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="has module WordWeights; supported are"):
        read(tmp_path, "Transformer", "WordWeights", "Pooling")
    with pytest.raises(BuildError, match=r"needs code of its own for 'own\.Transformer'"):
        read(tmp_path, "Transformer", "Pooling", type="own.Transformer")


@pytest.mark.parametrize("path", ["0_Transformer", "0_Transformer/", "./0_Transformer"])
def test_the_transformer_may_have_a_folder_of_its_own(tmp_path: Path, path: str) -> None:
    assert read(tmp_path, "Transformer", "Pooling", path=path).transformer.folder == "0_Transformer"
