"""The source graph run by ONNX Runtime in fp32: reference vectors for a build without torch.

Texts run one at a time, without padding, and are pooled here in numpy, so that the passes of the build are held to
something that does not use them. The tokenizer is transformers', changed by the settings as sentence-transformers does.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers

from build import numpy_pooling, source_graph
from build.errors import BuildError, reason
from build.expected import PromptedTexts, Vectors
from build.fidelity import cosines
from build.floors import FP32
from build.progress import track
from build.sentence import Sentence
from build.served_tokenizer import check_fast, load_tokenizer, served_tokenizer
from server.system.machine import inference_threads


class GraphReference:
    """The graph at `path` with the model's settings; `rows` is the size of its word embedding table."""

    def __init__(self, path: Path, sentence: Sentence, rows: int) -> None:
        """Load tokenizer and graph.

        Raises:
            BuildError: there is no fast tokenizer, or ONNX Runtime cannot load the graph.
        """
        self._sentence = sentence
        self._rows = rows
        self._fast = _tokenizer(sentence)
        self._session = _session(path)
        self._outputs = [value.name for value in self._session.get_outputs()]
        self._inputs = [value.name for value in self._session.get_inputs()]

    def tokenizer(self) -> Tokenizer:
        """Return the effective tokenizer, without padding and truncation, which the server applies.

        Raises:
            BuildError: some token ids have no embedding.
        """
        return served_tokenizer(self._fast, self._rows)

    def vectors(self, asked: PromptedTexts) -> Vectors:
        """Return vectors `[text, dimension]`.

        Raises:
            BuildError: the graph fails on one of the texts, or pools otherwise than the settings say.
        """
        name = asked.prompt_name or self._sentence.default_prompt_name
        prompt = self._sentence.prompts[name] if name else ""
        first = self.unpooled().get(name or "", 0)
        return np.stack([self._vector(self.ids(text, prompt), first) for text in track(asked.texts, asked.label)])

    def ids(self, text: str, prompt: str) -> list[int]:
        """Return the token ids of `prompt + text`, truncated to the model's maximum."""
        token_ids: list[int] = self._fast(prompt + text, truncation="longest_first")["input_ids"]
        return token_ids

    def unpooled(self) -> dict[str, int]:
        """Return how many first tokens pooling leaves out, by prompt name; empty if it pools them all.

        As sentence-transformers counts: the prompt's tokens, but for a final one that is special.
        """
        if self._sentence.pooling.include_prompt:
            return {}
        prompts = {name: self.ids("", text) for name, text in self._sentence.prompts.items()}
        return {name: len(ids) - (ids[-1] in self._fast.all_special_ids) for name, ids in prompts.items()}

    def _vector(self, ids: list[int], first: int) -> NDArray[np.float32]:
        outputs = self._run(ids)
        states = next(outputs[name] for name in source_graph.HIDDEN if name in outputs)
        vector = numpy_pooling.pool(states[0], self._sentence.pooling, first)
        vector = numpy_pooling.through(vector, self._sentence.layers)
        if source_graph.SENTENCE in outputs and not first:
            _check_pooled(vector, outputs[source_graph.SENTENCE][0])
        return vector

    def _run(self, ids: list[int]) -> dict[str, NDArray[np.float32]]:
        row = np.array([ids], np.int64)
        feeds = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
        try:
            results = self._session.run(self._outputs, {name: feeds[name] for name in self._inputs})
        except Exception as error:  # the library raises any type
            raise BuildError(f"the source graph fails on the texts of the build: {reason(error)}") from error
        return dict(zip(self._outputs, results, strict=True))


def _check_pooled(vector: NDArray[np.float32], pooled: NDArray[np.float32]) -> None:
    same = vector.shape == pooled.shape and cosines(vector[None], pooled[None])[0] >= FP32
    if not same:
        raise BuildError(
            f"the source graph's own {source_graph.SENTENCE} is not what modules.json and the settings beside it say: "
            "it was exported with another pooling or other layers. Export the model anew, or build without FROM=onnx"
        )


def _session(path: Path) -> Any:  # noqa: ANN401 - untyped
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = inference_threads(None).count
    options.log_severity_level = 3
    # Not the fusions, which the built graphs are compared with.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    except Exception as error:  # the library raises any type
        raise BuildError(f"ONNX Runtime cannot load the source graph: {reason(error)}") from error


def _tokenizer(sentence: Sentence) -> Any:  # noqa: ANN401 - untyped
    transformers.utils.logging.set_verbosity_error()
    loaded = load_tokenizer(sentence.encoder.folder, model_max_length=sentence.max_tokens)
    check_fast(loaded, sentence.encoder.id)
    if sentence.lower_cases:
        _lower_case(loaded.backend_tokenizer)
    return loaded


def _lower_case(backend: Tokenizer) -> None:
    """Lower-case first, unless the tokenizer has a normalizer that does."""
    held = backend.normalizer
    parts = list(_parts(held))
    if not any(isinstance(part, normalizers.Lowercase) for part in parts):
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *parts])


def _parts(normalizer: normalizers.Normalizer | None) -> Iterator[normalizers.Normalizer]:
    if isinstance(normalizer, normalizers.Sequence):
        yield from normalizer
    elif normalizer is not None:
        yield normalizer
