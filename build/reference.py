"""The source model run by sentence-transformers: its tokenizer, and reference vectors for the build."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from tokenizers import Tokenizer
from transformers import AutoModel

from build.errors import BuildError, reason
from build.expected import PromptedTexts, Vectors
from build.pooling import Pooling
from build.progress import track
from build.sentence import Sentence, positions
from build.served_tokenizer import check_fast, load_tokenizer, served_tokenizer
from build.sources.snapshot import Snapshot

# Large enough to amortize reading the weights in each call, small enough that activations add little memory.
_BATCH = 8
_SLICE = 64


class Reference:
    """A source folder loaded by sentence-transformers in fp32 on the CPU."""

    def __init__(self, snapshot: Snapshot, sentence: Sentence) -> None:
        """Load the model.

        Raises:
            BuildError: sentence-transformers cannot load it, or has no fast tokenizer for it.
        """
        self._sentence = sentence
        self._model = _load(snapshot, sentence)
        check_fast(self._model.tokenizer, snapshot.id)
        if self._model.tokenizer.pad_token is None:
            raise BuildError(
                f"{snapshot.id} has no padding token, without which sentence-transformers embeds no texts: name one of "
                "the tokenizer's tokens as `pad_token` in tokenizer_config.json, which never changes a text's vector"
            )
        table = positions(sentence.encoder.json("config.json"))
        if table is not None and (self._model.max_seq_length or 0) > table:
            self._model.max_seq_length = table  # longer texts would fail

    @property
    def rows(self) -> int:
        """Number of rows in the word embedding table, one per token id."""
        return int(self._model[0].auto_model.get_input_embeddings().weight.shape[0])

    def tokenizer(self) -> Tokenizer:
        """Return the effective tokenizer, without padding and truncation, which the server applies.

        Raises:
            BuildError: some token ids have no embedding.
        """
        return served_tokenizer(self._model.tokenizer, self.rows)

    def vectors(self, asked: PromptedTexts) -> Vectors:
        """Return vectors `[text, dimension]` from the model's `encode`.

        Raises:
            BuildError: it fails on one of the texts.
        """
        starts = track(range(0, len(asked.texts), _SLICE), asked.label)
        parts = [self._encode(asked.texts[start : start + _SLICE], asked.prompt_name) for start in starts]
        return np.concatenate(parts).astype(np.float32)

    def ids(self, text: str, prompt: str) -> list[int]:
        """Return the token ids of `prompt + text`, truncated to the model's maximum."""
        token_ids: list[int] = self._model.tokenizer(prompt + text, truncation="longest_first")["input_ids"]
        return token_ids

    def unpooled(self) -> dict[str, int]:
        """Return how many first tokens pooling leaves out, by prompt name; empty if it pools them all.

        Asked of the source, which also counts the final token if the tokenizer's settings do not declare it special.
        """
        if self._sentence.pooling.include_prompt:
            return {}
        first = self._model[0]
        lengths = {name: first.preprocess(["a"], prompt=text) for name, text in self._sentence.prompts.items()}
        return {name: int(encoded["prompt_length"]) for name, encoded in lengths.items()}

    def _encode(self, texts: list[str], prompt_name: str | None) -> Vectors:
        prompt = {"prompt_name": prompt_name}
        if prompt_name in self._sentence.from_card:  # not in the model's own files
            prompt = {"prompt": self._sentence.prompts[prompt_name or ""]}
        with _quietly():
            try:
                vectors: Vectors = self._model.encode(texts, batch_size=_BATCH, show_progress_bar=False, **prompt)
            except Exception as error:  # the library raises any type
                raise BuildError(f"sentence-transformers fails on the texts of the build: {reason(error)}") from error
        return vectors


def missing_weights(snapshot: Snapshot) -> list[str]:
    """Return the names of the encoder's weights that no file has, so that transformers initializes them at random.

    Loads the model a second time. The pooler, which no sentence vector needs, does not count.
    """
    with _quietly():
        _, loading = AutoModel.from_pretrained(
            snapshot.folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    return sorted(name for name in loading["missing_keys"] if not name.startswith("pooler."))


def _load(snapshot: Snapshot, sentence: Sentence) -> SentenceTransformer:
    with _quietly():
        try:
            loaded = SentenceTransformer(
                str(snapshot.folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": torch.float32, "use_safetensors": True},
            )
        except Exception as error:  # the library raises any type
            load_tokenizer(sentence.encoder.folder)
            raise BuildError(
                f"sentence-transformers cannot load {snapshot.id}, so there are no vectors to hold a build to: "
                f"{reason(error)}"
            ) from error
    return _pooled(loaded, sentence.pooling) if sentence.pooling_named else loaded


def _pooled(loaded: SentenceTransformer, pooling: Pooling) -> SentenceTransformer:
    """Return the encoder with the named pooling instead of the default of sentence-transformers."""
    own = modules.Pooling(loaded[0].get_embedding_dimension(), pooling.modes)
    return SentenceTransformer(modules=[loaded[0], own], device="cpu")


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress library warnings, which the user cannot act on."""
    transformers.utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
