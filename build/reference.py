"""The source model as sentence-transformers runs it: its tokenizer, and the vectors that a build is held to."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from build.errors import BuildError
from build.progress import track
from build.sentence import Sentence, positions
from build.sources.snapshot import Snapshot

Vectors = NDArray[np.float32]
# Enough that torch, which reads all weights for each call, does not spend its time on that; few enough that memory
# stays near the weights'.
_BATCH = 8
_SLICE = 64


@dataclass(frozen=True)
class Asked:
    """Texts as a caller sends them, with the prompt of a name before each (None: no prompt is asked for)."""

    prompt_name: str | None
    texts: list[str]


class Reference:
    """A source folder, loaded by sentence-transformers in fp32 on the CPU; its own reading of every settings file."""

    def __init__(self, snapshot: Snapshot, sentence: Sentence) -> None:
        """Load the model.

        Raises:
            BuildError: sentence-transformers cannot, or makes no fast tokenizer of the folder.
        """
        self._sentence = sentence
        self._model = _load(snapshot)
        if not getattr(self._model.tokenizer, "is_fast", False):
            raise BuildError(f"{snapshot.id} has no tokenizer.json, and none can be made from its other files")
        table = positions(snapshot.json("config.json"))
        if table is not None and (self._model.max_seq_length or 0) > table:
            self._model.max_seq_length = table  # It would fail on texts that are longer.

    @property
    def rows(self) -> int:
        """Rows of the table of word embeddings: ids from 0 to one less can be embedded."""
        return int(self._model[0].auto_model.get_input_embeddings().weight.shape[0])

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that all settings make together, without padding and truncation, which the server does.

        Raises:
            BuildError: it gives ids that the model has no embedding for.
        """
        made = json.loads(self._model.tokenizer.backend_tokenizer.to_str())
        made["normalizer"] = _without_repetition(made["normalizer"])
        loaded = Tokenizer.from_str(json.dumps(made))
        loaded.no_padding()
        loaded.no_truncation()
        self._check_ids(loaded)
        return loaded

    def vectors(self, asked: Asked) -> Vectors:
        """Vectors `[text, dimension]`, as its `encode` gives them.

        Raises:
            BuildError: it fails on one of the texts.
        """
        label = "source" if asked.prompt_name is None else f"source, prompt {asked.prompt_name!r}"
        starts = range(0, len(asked.texts), _SLICE)
        parts = [self._encode(asked.texts[start : start + _SLICE], asked.prompt_name) for start in track(starts, label)]
        return np.concatenate(parts).astype(np.float32)

    def ids(self, text: str, prompt: str) -> list[int]:
        """Token ids of a text with `prompt` before it, cut to the model's length."""
        found: list[int] = self._model.tokenizer(prompt + text, truncation="longest_first")["input_ids"]
        return found

    def _encode(self, texts: list[str], prompt_name: str | None) -> Vectors:
        prompt = {"prompt_name": prompt_name}
        if prompt_name in self._sentence.from_card:  # The folder itself does not have it.
            prompt = {"prompt": self._sentence.prompts[prompt_name or ""]}
        with _quietly():
            try:
                found: Vectors = self._model.encode(texts, batch_size=_BATCH, show_progress_bar=False, **prompt)
            except Exception as error:  # what fails in there is of any kind
                raise BuildError(f"sentence-transformers fails on the texts of the build: {reason(error)}") from error
        return found

    def _check_ids(self, loaded: Tokenizer) -> None:
        rows = self.rows
        beyond = sorted((id_, token) for token, id_ in loaded.get_vocab(with_added_tokens=True).items() if id_ >= rows)
        if beyond:
            id_, token = beyond[0]
            raise BuildError(
                f"the tokenizer has {len(beyond)} tokens without an embedding, such as {token!r} with id {id_}: the "
                f"model's table has {rows} rows. A text with one could not be embedded. Remove them from the "
                "tokenizer's files, or enlarge the table (`resize_token_embeddings`), train it and save the model anew"
            )


def reason(error: BaseException) -> str:
    """The kind of an error of a library, and the first line of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}{': ' + lines[0][:300] if lines else ''}"


def _load(snapshot: Snapshot) -> SentenceTransformer:
    with _quietly():
        try:
            return SentenceTransformer(
                str(snapshot.folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": torch.float32, "use_safetensors": True},
            )
        except Exception as error:  # what fails in there is of any kind
            _check_tokenizer(snapshot)
            raise BuildError(
                f"sentence-transformers cannot load {snapshot.id}, so there are no vectors to hold a build to: "
                f"{reason(error)}"
            ) from error


def _check_tokenizer(snapshot: Snapshot) -> None:
    try:
        AutoTokenizer.from_pretrained(snapshot.folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # what fails in there is of any kind
        raise BuildError(
            f"no tokenizer can be made of tokenizer.json and the files beside it in {snapshot.folder}: {reason(error)}"
        ) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep what these libraries warn of from the user, who cannot act on it."""
    transformers.utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _without_repetition(normalizer: object) -> object:
    """BERT's own lower-casing makes lower-casing before it do nothing: the same for every character there is."""
    match normalizer:
        case {
            "type": "Sequence",
            "normalizers": [{"type": "Lowercase"}, {"type": "BertNormalizer", "lowercase": True} as bert],
        }:
            return bert
    return normalizer
