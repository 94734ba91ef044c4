"""Tiny random encoders as sentence-transformers snapshots, which build in seconds."""

import json
import string
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "cat", "dog", "sat", "on", "mat", "error", "server", "blue", "river", "contract", "heart"]

# What an architecture needs beside the settings that all have: global and local attention with a window, and others.
_OWN: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "electra": {"embedding_size": 16},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 8},
}


def tokenizer() -> Tokenizer:
    """Return a WordPiece tokenizer over a few words and all ASCII characters."""
    pieces = [*SPECIAL, *WORDS, *string.printable.strip(), *(f"##{c}" for c in string.ascii_lowercase + string.digits)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.enable_truncation(7)  # Tokenizers on the Hub contain such settings, which the build must drop.
    made.enable_padding(length=7)
    return made


def snapshot(folder: Path, architecture: str = "bert", pooling: str = "cls", **config: Any) -> Path:
    """Write a two-layer model of `architecture` with random weights and its sentence-transformers settings."""
    torch.manual_seed(7)
    tokens = tokenizer()
    made = AutoConfig.for_model(
        architecture,
        **{
            "vocab_size": tokens.get_vocab_size(),
            "hidden_size": 32,
            "dim": 32,
            "num_hidden_layers": 2,
            "n_layers": 2,
            "num_attention_heads": 4,
            "n_heads": 4,
            "intermediate_size": 64,
            "hidden_dim": 64,
            "max_position_embeddings": 66,
            "pad_token_id": 0,
            # Trained models have weights far larger than the default of 0.02; that would hide numeric faults.
            "initializer_range": 0.2,
        }
        | _OWN.get(architecture, {})
        | config,
    )
    with warnings.catch_warnings():  # ModernBERT's module uses what torch has deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        AutoModel.from_config(made).save_pretrained(folder)
    tokens.save(str(folder / "tokenizer.json"))
    write_settings(folder, pooling)
    if architecture in ("distilbert", "modernbert"):  # They have no token types.
        path = folder / "tokenizer_config.json"
        _write(path, json.loads(path.read_text("utf-8")) | {"model_input_names": ["input_ids", "attention_mask"]})
    return folder


def write_weights(path: Path) -> None:
    """Write a weights file with one number, for tests that load no model."""
    save_file({"weight": torch.ones(1)}, path)


def write_settings(folder: Path, pooling: str = "cls", max_tokens: int = 64) -> None:
    """Write the sentence-transformers files of a model that normalizes its vectors."""
    kinds = (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(kinds)
    ]
    special = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]", "pad_token": "[PAD]"}
    _write(folder / "modules.json", modules)
    modes = {f"pooling_mode_{mode}": mode.startswith(pooling) for mode in ("cls_token", "mean_tokens", "max_tokens")}
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, **modes})
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens})
    _write(folder / "tokenizer_config.json", {**special, "model_max_length": 512})
    _write(folder / "config_sentence_transformers.json", {"prompts": {"query": "the query: "}})


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")
