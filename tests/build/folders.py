"""Tiny models with unusual settings: built, and queried as by the server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from tokenizers import models, pre_tokenizers, processors

from build import fidelity
from build.__main__ import main
from build.floors import FP32
from server.model.manifest import Manifest, decode
from server.model.tokenization import Tokenizer
from server.service.embed_request import Asker
from server.settings import resolve
from tests import tiny

Change = Callable[[Path], object]
# Few texts, so that a build takes a second; the build's probes cover the effects of settings.
TEXTS = "".join(f'"the cat sat on mat {number} while the server met error {number * 7}"\n' for number in range(50))
ASKED = [
    "the cat sat on the mat",
    "The Cat SAT on the MAT",
    "café Dog déjà",
    "cafe\u0301 ÉCOLE",
    "a [SEP] word [MASK] here",
    "  blue   river\tcontract\n",
    "heart! (error) #42",
    "東京 the cat Москва ภาษา dog",
    "?",
    "the server and the river " * 40 + "END",
]


def edit(folder: Path, name: str, **settings: object) -> None:
    """Set some settings in a JSON file of the folder, creating it if needed."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    held = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps(held | settings), "utf-8")


def build(folder: Path, models_dir: Path, *options: str) -> int:
    """Build the folder's model; return the exit status."""
    texts = models_dir.parent / "texts.jsonl"
    texts.write_text(TEXTS, "utf-8")
    places = ("--model", str(folder), "--models-dir", str(models_dir), "--cache", str(models_dir.parent / "cache"))
    return main([*places, "--texts", str(texts), "--calibrate", str(texts), *(options or ("--precisions", "fp32"))])


def described(models_dir: Path, name: str = "tiny") -> Manifest:
    """Return the manifest of the built model."""
    return decode((models_dir / f"{name}.json").read_bytes())


def served(models_dir: Path, name: str = "tiny", texts: list[str] | None = None, **asked: Any) -> NDArray[np.float32]:
    """The vectors of `texts` (default ASKED) that a server of the model gives with `input_type` or `prompt_name`."""
    made = described(models_dir, name)
    prompt = Asker(resolve({}), made).prompt(asked.get("input_type"), asked.get("prompt_name"))
    tokenizer = Tokenizer(models_dir / made.tokenizer.file, made.max_tokens, made.unpooled_by_prompt)
    ids = [encoded.ids for encoded in tokenizer.encode(texts or ASKED, prompt)]
    variant = made.variants["fp32"]
    return fidelity.graph_vectors(models_dir / variant.file, made.dimension, ids, variant.packed, "served")


def source(folder: Path) -> SentenceTransformer:
    """Load the folder with sentence-transformers."""
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def least_cosine(vectors: NDArray[np.float32], encoded: NDArray[np.float32]) -> float:
    """Return the minimum row-wise cosine."""
    return float(fidelity.cosines(vectors, encoded).min())


def same_as_source(folder: Path, models_dir: Path, name: str = "tiny", longest: int | None = None) -> None:
    """Check that the model is served as sentence-transformers encodes texts, queries and documents with the folder.

    `longest` replaces a length that sentence-transformers itself fails at.
    """
    expected = source(folder)
    expected.max_seq_length = longest or expected.max_seq_length
    for input_type, encode in ((None, "encode"), ("query", "encode_query"), ("document", "encode_document")):
        vectors = served(models_dir, name, input_type=input_type)
        assert least_cosine(vectors, getattr(expected, encode)(ASKED)) >= FP32


def edit_modules(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the entries of modules.json in place."""
    path = folder / "modules.json"
    entries = json.loads(path.read_text("utf-8"))
    change(entries)
    path.write_text(json.dumps(entries), "utf-8")


def move_transformer(folder: Path) -> None:
    """Move the Transformer's files into a folder of its own."""
    own = folder / "0_Transformer"
    own.mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        if path.name not in ("modules.json", "config_sentence_transformers.json"):
            path.rename(own / path.name)
    edit_modules(folder, lambda entries: entries[0].update(path=own.name))


def cast(folder: Path, dtype: torch.dtype) -> None:
    """Convert the weights."""
    weights = load_file(folder / "model.safetensors")
    save_file({name: one.to(dtype) for name, one in weights.items()}, folder / "model.safetensors", {"format": "pt"})


def byte_level(folder: Path) -> Path:
    """Create a RoBERTa with a byte-level tokenizer without normalizer."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tiny.snapshot(folder, "roberta", vocab_size=len(vocabulary), pad_token_id=1)
    made = tokenizers.Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    made.add_special_tokens(pieces[:4])
    made.save(str(folder / "tokenizer.json"))
    edit(folder, "tokenizer_config.json", pad_token="<pad>", unk_token="<unk>")
    return folder
