"""Which environment a job needs; the Makefile asks with any Python."""

import subprocess
import sys

import pytest

from server.migrate.environment import environment
from server.migrate.stores.registry import STORES
from tests.serving import ROOT


@pytest.mark.parametrize(
    "words",
    [
        ["texts.json", "qdrant:stores/qdrant#docs", ""],
        ["postgresql://db/app#docs", "a.npy", ""],
        ["texts.parquet", "a.npy", ""],
        ["texts.json.ZST", "a.npy", ""],
        ["texts.json", "a.faiss", ""],
        ["texts.json", "shards", "pinecone"],
        ["texts.json", "vectors", "parquet"],
    ],
)
def test_stores_and_other_formats_need_their_libraries(words: list[str]) -> None:
    assert environment(words) == ".venv-stores"


@pytest.mark.parametrize(
    "words", [["texts.json", "a.npy", ""], ["chroma_export.jsonl", "a", "npz"], ["C:/a.json", "a.npy"]]
)
def test_other_files_need_the_runtime_alone(words: list[str]) -> None:
    assert environment(words) == ".venv"


def test_it_is_asked_before_there_is_any_environment() -> None:
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{PROGRAM}"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == ".venv-stores\n"


PROGRAM = """
import runpy
sys.argv = ["environment", "texts.json", "", "faiss"]
runpy.run_module("server.migrate.environment", run_name="__main__")
"""


ADDRESSES = [f"{next(iter(store.form.schemes))}:x#docs" for store in STORES.values()]


@pytest.mark.parametrize(("output", "wanted"), [("a.npy", ".venv"), *((one, ".venv-stores") for one in ADDRESSES)])
def test_make_takes_the_environment_that_a_job_needs(output: str, wanted: str) -> None:
    command = ["make", "-n", "migrate", "INPUT=texts.json", f"OUTPUT={output}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"{wanted}/bin/python -m server.migrate" in done.stdout
