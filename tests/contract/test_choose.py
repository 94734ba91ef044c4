"""A choice with real weights, and the server that serves it."""

import json
import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import msgspec

from server.model.manifest import decode, encode
from server.model.output_types import TYPES
from server.verify.texts import ENDINGS, SUBJECTS
from tests.serving import MINILM, MODELS, ROOT, serve


def copy_model(folder: Path) -> None:
    """Copy the model in fp32 and int8 alone, so that the choice takes half of the time."""
    manifest = decode((MODELS / f"{MINILM}.json").read_bytes())
    kept = {name: variant for name, variant in manifest.variants.items() if name in ("fp32", "int8")}
    for file in (manifest.tokenizer, *(file for variant in kept.values() for file in variant.files)):
        shutil.copy(MODELS / file.file, folder)
    changed = msgspec.structs.replace(manifest, variants=kept, chosen=msgspec.UNSET)
    (folder / f"{MINILM}.json").write_bytes(encode(changed))


def test_what_was_chosen_is_served(tmp_path: Path) -> None:
    copy_model(tmp_path)
    texts = tmp_path / "texts.jsonl"
    sentences = [f"{subject} {ending}" for subject, ending in product(SUBJECTS, ENDINGS)]
    texts.write_text("".join(json.dumps({"text": text}) + "\r\n" for text in sentences), "utf-8")
    done = subprocess.run(
        [
            "make",
            "-o",
            ".venv/ready",
            "choose",
            f"TEXTS={texts}",
            "BUDGET=3%",
            f"CHOOSE_ARGS=--folder {tmp_path / 'work'}",
        ],
        cwd=ROOT,
        env={**os.environ, "MODEL": MINILM, "MODELS_DIR": str(tmp_path), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "work" / "report.json").read_text("utf-8"))
    losses = {
        (one["precision"], one["output"], one["dimensions"]): one["losses"]["agreement"]["mean"]
        for one in report["schemes"]
    }
    assert losses["fp32", "float", 384] == 0
    assert losses["fp32", "float16", 384] < losses["int8", "float", 384] < losses["int8", "float", 96]
    assert losses["int8", "int8", 384] < losses["int8", "binary", 384]
    with serve(models_dir=tmp_path, quantization="chosen") as served:
        info = served.client.get("/info").json()
        chosen = info["chosen"]
        assert info["precision"] == chosen["precision"] == report["chosen"]["precision"]
        assert chosen["loss_at_most"] <= 0.03
        asked = {name: chosen[name] for name in ("output_dtype", "dimensions")}
        width = TYPES[chosen["output_dtype"]].width(chosen["dimensions"])
        assert len(served.embed(["a text"], **asked)[0]) == width
        assert len(served.embed(["a text"])[0]) == info["dimension"]
        assert any("set by QUANTIZATION=chosen" in line for line in served.lines)
        assert any(f'"output_dtype": "{chosen["output_dtype"]}"' in line for line in served.lines)
