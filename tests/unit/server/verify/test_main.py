"""The command that says whether vectors are of the space that they claim, with real jobs and a real HTTP server."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.inference.engine import Vectors
from server.settings import resolve
from server.verify.__main__ import main
from server.verify.embedders import LocalModel
from server.verify.errors import VerifyError
from tests.unit.server import tiny
from tests.unit.server.migrate.jobs import run, texts, write_input

SPACE = "tiny@0123456789ab/fp32"
Answer = Callable[[dict[str, Any]], tuple[int, Mapping[str, Any], str]]


@pytest.fixture
def environ(models_dir: Path) -> dict[str, str]:
    return {"MODEL": tiny.NAME, "MODELS_DIR": str(models_dir), "DEVICE": "cpu", "THREADS": "1"}


@pytest.fixture
def stored(models_dir: Path, tmp_path: Path) -> Path:
    """A JSONL file that a job wrote."""
    output = tmp_path / "out.jsonl"
    run(models_dir, write_input(tmp_path / "in.json", texts(60)), output)
    return output


def edit(path: Path, change: Callable[[dict[str, Any]], object], lines: slice = slice(None)) -> None:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for row in rows[lines]:
        change(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def vector(text: str) -> Vectors:
    """A unit vector that depends on the text alone."""
    drawn = np.random.default_rng(list(text.encode())).normal(size=tiny.DIMENSION)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def honest(body: dict[str, Any]) -> tuple[int, Mapping[str, Any], str]:
    return 200, {"embeddings": [vector(text).tolist() for text in body["texts"]]}, SPACE


@contextmanager
def serving(answer: Answer, keys: list[str | None] | None = None) -> Iterator[str]:
    """A server that answers as `answer` says: status, body, space; the `Authorization` headers go to `keys`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, said, space = answer(body)
            if keys is not None:
                keys.append(self.headers["authorization"])
            self.send_response(status)
            if space:
                self.send_header("x-embedding-space", space)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_a_store_of_the_model_s_own_vectors_is_right(
    environ: dict[str, str], stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(stored)], environ) == 0
    said = capsys.readouterr().out
    claimed = json.loads((stored.parent / "out.jsonl.migrate" / "receipt.json").read_text("utf-8"))["job"]["space"]
    assert f"claims the space {claimed}\n" in said
    assert f"verdict: the vectors are of the space {claimed}\n" in said
    assert main([str(stored), "--json", "--sample", "10"], environ) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["verdict"], verdict["agreement"]["rows"], verdict["claimed"]) == ("right", 10, claimed)


def test_a_store_of_another_precision_is_of_the_model_s_space(
    environ: dict[str, str], stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = stored.parent / "out.jsonl.migrate" / "receipt.json"
    receipt.write_text(receipt.read_text("utf-8").replace("/fp32", "/int8-01234567"), "utf-8")
    assert main([str(stored)], environ) == 0
    said = capsys.readouterr().out
    assert "(below 0.98)" in said
    assert "at the accuracy of the coarser precision" in said


def test_vectors_cut_by_dimensions_are_of_the_same_space(
    environ: dict[str, str], models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "cut.jsonl"
    run(models_dir, write_input(tmp_path / "in.json", texts(30)), output, "--dimensions", "4")
    assert main([str(output)], environ) == 0
    assert "cut to 4 dimensions" in capsys.readouterr().out


def test_one_foreign_row_is_found_and_named(
    environ: dict[str, str], stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(stored, lambda row: row.update(embedding=row["embedding"][::-1]), slice(41, 42))
    assert main([str(stored)], environ) == 1
    said = capsys.readouterr().out
    assert "1 of 60 (1.7%) differ (below 0.9999), such as 41" in said
    assert "NOT all of that space" in said


def test_rows_that_are_no_vectors_agree_with_nothing(environ: dict[str, str], stored: Path) -> None:
    edit(stored, lambda row: row.update(embedding=[0.0] * tiny.DIMENSION), slice(5))
    assert main([str(stored)], environ) == 1


def test_the_prompt_that_the_texts_had_can_be_said(environ: dict[str, str], models_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "queries.jsonl"
    run(models_dir, write_input(tmp_path / "in.json", texts(30)), output, "--input-type", "query")
    assert main([str(output)], environ) == 1
    assert main([str(output), "--input-type", "query"], environ) == 0


def test_a_claim_that_is_wrong_is_wrong_even_where_vectors_agree(
    environ: dict[str, str], stored: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model was built again with another prompt, which no document had."""
    tiny.write_manifest(models_dir, changes={"prompts": {"query": "other: "}})
    assert main([str(stored)], environ) == 1
    assert "the vectors agree, but another space is claimed" in capsys.readouterr().out


def test_a_store_can_be_held_to_a_server(environ: dict[str, str], stored: Path) -> None:
    edit(stored, lambda row: row.update(embedding=vector(row["text"]).tolist()))
    (stored.parent / "out.jsonl.migrate" / "receipt.json").unlink()
    with serving(honest) as url:
        assert main([str(stored), url], environ) == 0
    assert main([str(stored)], environ) == 1


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda row: row.update(text=""), "stores no texts"),
        (lambda row: row.update(embedding=[0.1] * 9), "holds vectors of 9 dimensions, the model tiny here gives 8"),
    ],
)
def test_what_cannot_be_judged_is_said_in_words(
    environ: dict[str, str],
    stored: Path,
    break_it: Callable[[dict[str, Any]], object],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(stored, break_it)
    assert main([str(stored)], environ) == 2
    assert said in capsys.readouterr().err


def test_rows_of_several_dimensions_an_empty_file_and_none_are_said_in_words(
    environ: dict[str, str], stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(stored, lambda row: row.update(embedding=[1.0]), slice(3))
    assert main([str(stored)], environ) == 2
    stored.write_text("")
    assert main([str(stored)], environ) == 2
    assert main([str(tmp_path / "none.jsonl")], environ) == 2
    assert main([str(stored), str(stored)], environ) == 2
    said = capsys.readouterr().err
    for words in ("several dimensions", "is empty", "no such file", "--compare-with"):
        assert words in said


def test_a_file_of_vectors_without_texts_is_said_in_words(
    environ: dict[str, str], models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("out.npy", "out.npz"):
        run(models_dir, write_input(tmp_path / "in.json", texts(30)), tmp_path / name)
        assert main([str(tmp_path / name)], environ) == 2
        assert "stores no texts" in capsys.readouterr().err


def unlike(other: Answer, environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is said of an honest server and another, which is not of the same space."""
    with serving(honest) as first, serving(other) as second:
        assert main([first, second, "--sample", "40"], environ) == 1
    return capsys.readouterr().out


def test_two_servers_of_one_model_agree(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with serving(honest) as first, serving(honest) as second:
        assert main([first, second, "--sample", "40"], environ) == 0
    said = capsys.readouterr().out
    assert "as document: largest difference of a component 0.00e+00" in said
    assert "as query: 100.0% of the 10 nearest neighbours are the same" in said
    assert "verdict: the same space" in said


def test_two_servers_of_one_name_and_other_prompts_do_not(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    def prompted(body: dict[str, Any]) -> tuple[int, Mapping[str, Any], str]:
        prompt = "query: " if body["input_type"] == "query" else ""
        return (*honest({"texts": [prompt + text for text in body["texts"]]})[:2], "")

    said = unlike(prompted, environ, capsys)
    assert "as document: cosine: 1.000000 at least" in said
    assert "second: says no space" in said
    assert "verdict: NOT the same space" in said


def test_servers_of_other_dimensions_are_compared_by_their_neighbours(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    def wider(body: dict[str, Any]) -> tuple[int, Mapping[str, Any], str]:
        return 200, {"embeddings": [[*vector(text).tolist(), 0.0] for text in body["texts"]]}, "wide@0123456789ab/fp32"

    said = unlike(wider, environ, capsys)
    assert "as document: 8 and 9 dimensions" in said
    assert "as document: 100.0% of the 10 nearest neighbours are the same" in said


def test_a_server_is_held_to_the_model_here(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(texts(40)), "utf-8")
    with serving(honest) as url:
        assert main([url, "--texts", str(tmp_path / "texts.txt")], environ) == 1
        (tmp_path / "texts.txt").write_text("\n\n", "utf-8")
        assert main([url, "--texts", str(tmp_path / "texts.txt")], environ) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((412, {"error": "another"}, SPACE), "answered 412"),
        ((200, {"error": "\x1b[31m"}, SPACE), "did not answer with one vector for each text"),
        ((200, {"embeddings": [[1.0]]}, SPACE), "did not answer with one vector for each text"),
        ((200, {"embeddings": ["a"] * 16}, SPACE), "did not answer with one vector for each text"),
        ((200, {"embeddings": [[0.0] * 130_000] * 16}, SPACE), "answered with more than"),
    ],
    ids=["refused", "no-vectors", "too-few", "no-numbers", "too-long"],
)
def test_a_server_that_answers_otherwise_is_said_in_words(
    environ: dict[str, str], answer: tuple[int, Mapping[str, Any], str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(lambda _: answer) as url:
        assert main([url, url], environ) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "\x1b" not in shown


def test_a_server_that_changes_its_model_meanwhile_or_is_gone_is_said_in_words(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    spaces = iter([SPACE, SPACE.replace("@0", "@1")])
    with serving(lambda body: (*honest(body)[:2], next(spaces))) as url:
        assert main([url, url], environ) == 2
    assert main([url, url], environ) == 2
    assert main(["http://me:hidden@127.0.0.1", url], environ) == 2
    said = capsys.readouterr().err
    assert "answers from several spaces" in said
    assert "no server answers at" in said
    assert "hidden" not in said


def test_rows_without_a_visible_text_are_skipped_and_a_model_that_is_not_there_is_named(
    environ: dict[str, str], stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(stored, lambda row: row.update(text="\u200b"), slice(59))
    assert main([str(stored), "--json"], environ) == 0
    assert json.loads(capsys.readouterr().out)["agreement"]["rows"] == 1
    assert main([str(stored), "--model", "other"], environ) == 2
    assert "other.json not found" in capsys.readouterr().err


def test_the_model_here_refuses_what_it_cannot_embed(environ: dict[str, str]) -> None:
    with pytest.raises(VerifyError, match="embeds one of the texts not"):
        LocalModel(resolve(environ)).embed(["\ud800", "a"], "document")


def test_a_server_gets_the_first_key_of_the_environment(environ: dict[str, str], stored: Path) -> None:
    keys: list[str | None] = []
    with serving(honest, keys) as url:
        main([str(stored), url], environ | {"API_KEY": "first, second"})
        main([str(stored), url], environ)
    assert set(keys) == {"Bearer first", None}
