"""What is chosen for: the model, the precisions that this machine serves, and what vectors and speeds depend on."""

from collections.abc import Iterator
from dataclasses import dataclass

import onnxruntime

from server.choose.schemes import REFERENCE
from server.errors import StartError
from server.inference import device
from server.inference.device import Choice
from server.migrate.pipeline.prepare import Preparer
from server.model import space
from server.model.artifact import find_artifact
from server.model.manifest import PRECISIONS, Manifest, Precision, Variant
from server.model.tokenization import Tokenizer
from server.service.embed_request import Asker
from server.settings import Settings
from server.system import machine


@dataclass(frozen=True, slots=True)
class ServedPrecision:
    """How this machine serves a precision: the graph that runs, and on which device."""

    variant: Variant
    choice: Choice


@dataclass(frozen=True, slots=True)
class ChoiceSubject:
    """The model, the precisions of it that this machine serves, and why others are not compared."""

    manifest: Manifest
    served: dict[Precision, ServedPrecision]
    notes: list[str]
    tokenizer: Tokenizer
    settings: Settings

    @property
    def precisions(self) -> list[Precision]:
        """The precisions that are compared."""
        return list(self.served)

    def preparer(self, input_type: str) -> Preparer:
        """Return what tokenizes texts of a type."""
        prompt = Asker(self.settings, self.manifest).prompt(input_type, None)
        return Preparer(self.tokenizer, prompt, None, self.settings.max_text_chars)

    def identities(self) -> Iterator[str]:
        """Yield what vectors and speeds depend on besides the texts.

        Speeds belong to a machine and its settings. Measuring them again means embedding the texts again, so vectors
        are not kept without them.
        """
        settings = self.settings
        yield str([machine.cpu_model(), machine.cpu_flags(), machine.inference_threads(settings.threads).count])
        yield str([settings.streams, settings.max_batch_tokens, settings.longest_text_s, onnxruntime.__version__])
        yield self.manifest.tokenizer.sha256
        for name, one in self.served.items():
            files = [file.sha256 for file in one.variant.files]
            where = [one.choice.device, one.choice.gpu_memory]
            yield str([name, space.of_variant(self.manifest, one.variant), *files, *where])


def open_subject(settings: Settings) -> ChoiceSubject:
    """Open the model, and find the precisions that it was built in and that this machine serves.

    Raises:
        StartError: the reference is not among them.
    """
    choice = device.detect(settings.device, REFERENCE)
    first = find_artifact(settings.models_dir, settings.model, REFERENCE, cuda=choice.device == "cuda")
    served: dict[Precision, ServedPrecision] = {REFERENCE: ServedPrecision(first.variant, choice)}
    notes: list[str] = []
    for precision in (name for name in PRECISIONS if name != REFERENCE):
        if precision not in first.manifest.precisions:
            notes.append(f"{precision} is not compared: the model was not built in it")
            continue
        try:
            served[precision] = _find(settings, precision)
        except StartError as error:
            notes.append(f"{precision} is not compared: {error}")
    if first.manifest.int8_range(1) is None:
        notes.append("int8 output is not compared: the model was built without its ranges; build it again")
    manifest = first.manifest
    tokenizer = Tokenizer(first.tokenizer_path, manifest.max_tokens, manifest.unpooled_by_prompt)
    return ChoiceSubject(manifest, served, notes, tokenizer, settings)


def _find(settings: Settings, precision: Precision) -> ServedPrecision:
    choice = device.detect(settings.device, precision)
    cuda = choice.device == "cuda"
    return ServedPrecision(find_artifact(settings.models_dir, settings.model, precision, cuda=cuda).variant, choice)
