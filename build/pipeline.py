"""The build pipeline: source, export, variants, fidelity, manifest, commit to `models/`."""

import gc
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import msgspec
import onnx_ir as ir

from build import (
    card,
    export,
    fidelity,
    floors,
    graph_files,
    inspection,
    preflight,
    progress,
    sentence,
    sources,
    texts,
    variants,
)
from build.errors import BuildError
from build.expected import Expected, expect
from build.inspection import Reading
from build.origin import Origin, open_origin
from build.passes import apply
from build.passes.stand_in import StandInPass
from build.pooling import Pooling
from build.sources.snapshot import Form
from build.workspace import Workspace, open_workspace
from server.errors import InferenceError, StartError
from server.model import manifest, space
from server.model.artifact import sha256
from server.model.manifest import FOR_CUDA, Fidelity, File, Manifest, Precision, Variant, VariantName
from server.model.output_types import calibrate_ranges

TOOLS = (
    "onnx",
    "onnx-ir",
    "onnxruntime",
    "onnxscript",
    "tokenizers",
    "transformers",
)
"""Those of every build; its origin has more."""
_MODULES_SHOWN = 8


@dataclass(frozen=True)
class BuildPlan:
    """What to build: the parsed command line."""

    model: str
    models_dir: Path
    cache: Path
    wanted: tuple[VariantName, ...]
    fidelity_texts: Path = texts.OWN
    calibration_texts: Path = texts.CALIBRATION
    revision: str | None = None
    preflight: bool = True
    pooling: Pooling | None = None
    form: Form = "weights"
    largest: int = graph_files.LARGEST


@dataclass(frozen=True)
class BuildJob:
    """A build in progress: the plan, the resolved source, the origin of its graph, and the expected vectors."""

    plan: BuildPlan
    reading: Reading
    origin: Origin
    space: Workspace
    expected: Expected

    def staged(self, suffix: str) -> Path:
        """Return the path of the staged file `<model name><suffix>`."""
        return self.space.staged / f"{self.reading.snapshot.name}{suffix}"


@dataclass(frozen=True)
class Draft:
    """A converted variant whose fidelity has not been measured."""

    path: Path
    name: VariantName
    passes: list[str]

    @property
    def precision(self) -> Precision:
        """The variant's precision."""
        return cast(Precision, self.name.removesuffix("-cuda"))

    @property
    def for_cuda(self) -> bool:
        """Whether only CUDA can run it."""
        return self.name in FOR_CUDA.values()


def build(plan: BuildPlan) -> Path:
    """Build every variant of one model and return the path of its manifest.

    Raises:
        BuildError: the build failed; existing models are unchanged.
    """
    plan.cache.mkdir(parents=True, exist_ok=True)
    chosen, calibration = texts.read(plan.fidelity_texts), texts.read(plan.calibration_texts)
    with progress.step(f"source {plan.model}"):
        source = sources.resolve(plan.model, plan.cache, plan.revision, plan.form)
        reading = inspection.read(source, plan.pooling, plan.form)
        snapshot, settings = reading.snapshot, reading.settings
    with open_workspace(plan.models_dir, snapshot.name) as space:
        if plan.preflight:
            preflight.check(snapshot, plan.models_dir)
        with progress.step("vectors of the source"):
            origin = open_origin(reading, space.scratch)
            tokenizer = space.staged / f"{snapshot.name}.tokenizer.json"
            expected = expect(origin.source(), settings, tokenizer, chosen.items)
        job = BuildJob(plan, reading, origin, space, expected)
        drafts, notes = _variants(job, calibration.items)
        built, left_out = _measure(job, drafts)
        made = _manifest(job, built, chosen, calibration, [*notes, *left_out])
        with progress.step("ranges of int8 output"):
            made = msgspec.structs.replace(made, int8_ranges=_int8_ranges(job, built["fp32"], calibration.items))
        job.staged(".json").write_bytes(manifest.encode(made))
        described = card.of_model(reading, made)
        described.write(job.staged(".md"))
        space.commit()
    progress.say(f"\n{described.text()}\n")
    return plan.models_dir / f"{snapshot.name}.json"


def _variants(job: BuildJob, calibration: list[str]) -> tuple[list[Draft], list[str]]:
    """Convert every variant, fp32 first; return the drafts, and notes on those not possible."""
    with progress.step("export"):
        model, passes = _plain(job)
    with progress.step("pack and calibrate"):
        graphs = variants.prepare(model, passes, job.reading.settings.pooling, _tokenize(job, calibration))
    notes = [*job.origin.notes(), *_remarks(job.reading.settings), *graphs.notes]
    drafts = []
    for wanted in job.plan.wanted:
        try:
            with progress.step(f"convert {wanted}"):
                drafts.append(_draft(job, graphs, wanted))
        except variants.NoRecipeError as error:
            notes.append(str(error))
        gc.collect()  # Graphs contain reference cycles: free their tensors now.
    for note in notes:
        progress.say(f"note: {note}")
    return drafts, notes


def _remarks(settings: sentence.Sentence) -> list[str]:
    """What users should know of the pooling and the prompts."""
    remarks = []
    if settings.pooling_named:
        remarks.append(f"the pooling, {settings.pooling.name}, was named for the build: the model's files say none")
    if settings.default_prompt_name:
        remarks.append(
            f"texts for which neither input_type nor prompt_name is sent get the model's default prompt, "
            f"{settings.default_prompt_name!r}"
        )
    if settings.from_card:
        remarks.append(f"the model's card, not its files, has the prompt {', '.join(map(repr, settings.from_card))}")
    return remarks


def _plain(job: BuildJob) -> tuple[ir.Model, list[str]]:
    """Return the graph of sentence vectors, padding included, and the names of its passes."""
    model, passes = job.origin.graph()
    return model, passes + export.finish(model, job.reading.settings)


def _draft(job: BuildJob, graphs: variants.Graphs, wanted: VariantName) -> Draft:
    converted, passes = variants.convert(graphs, wanted)
    path = job.staged(".onnx" if wanted == "fp32" else f".{wanted}.onnx")
    graph_files.save(converted, path, job.plan.largest)
    return Draft(path, wanted, passes)


def _tokenize(job: BuildJob, items: list[str]) -> list[list[int]]:
    encoded = job.expected.tokenizer.encode(items, job.reading.settings.default_prompt)
    return [one.ids for one in encoded]


def _manifest(
    job: BuildJob, built: dict[VariantName, Variant], chosen: texts.Texts, calibration: texts.Texts, notes: list[str]
) -> Manifest:
    source, tokenizer = job.reading.snapshot, job.staged(".tokenizer.json")
    made = Manifest(
        schema=manifest.schema_of(built.values()),
        name=source.name,
        source=manifest.ModelSource(source.kind, source.id, source.revision, source.licence, source.files),
        architecture=job.reading.architecture,
        dimension=job.expected.dimension,
        max_tokens=job.reading.settings.max_tokens,
        pooling=job.reading.settings.pooling.name,
        source_normalizes=job.reading.settings.normalizes,
        prompts=job.reading.settings.prompts,
        tokenizer=File(tokenizer.name, tokenizer.stat().st_size, sha256(tokenizer)),
        variants=built,
        fidelity_texts=manifest.FidelityTexts(len(chosen.items), chosen.sha256),
        calibration_texts=manifest.FidelityTexts(len(calibration.items), calibration.sha256),
        notes=notes,
        tools={tool: importlib.metadata.version(tool) for tool in sorted((*TOOLS, *job.origin.tools))},
        default_prompt_name=job.reading.settings.default_prompt_name or msgspec.UNSET,
        unpooled=job.expected.unpooled or msgspec.UNSET,
    )
    return msgspec.structs.replace(made, spaces=space.of_variants(made))


def _int8_ranges(job: BuildJob, fp32: Variant, calibration: list[str]) -> list[float]:
    """Return the ranges of int8 output, from the fp32 graph's vectors of the calibration texts."""
    sequences = _tokenize(job, calibration)
    graph = job.space.staged / fp32.file
    return calibrate_ranges(
        fidelity.graph_vectors(graph, job.expected.dimension, sequences, fp32.packed, "int8 output")
    )


def _variant(draft: Draft, measured: Fidelity) -> Variant:
    graph, *weights = (File(path.name, path.stat().st_size, sha256(path)) for path in graph_files.of(draft.path))
    device: Literal["any", "cuda"] = "cuda" if draft.for_cuda else "any"
    beside = weights[0] if weights else msgspec.UNSET
    named = (graph.file, graph.bytes, graph.sha256)
    return Variant(*named, draft.precision, draft.passes, measured, device, beside)


def _measure(job: BuildJob, drafts: list[Draft]) -> tuple[dict[VariantName, Variant], list[str]]:
    """Measure each variant; return those with sufficient fidelity, and notes on the others and on parts in fp32."""
    measured = _Measured(job)
    built: dict[VariantName, Variant] = {}
    notes = []
    for draft in drafts:
        variant, note = _checked(job, measured, draft)
        if variant:
            built[draft.name] = variant
        if note:
            notes.append(note)
            progress.say(f"note: {note}")
    return built, notes


def _checked(job: BuildJob, measured: "_Measured", draft: Draft) -> tuple[Variant | None, str]:
    """Return a variant with sufficient fidelity, if need be with parts of it in fp32, and a note on it, or ''."""
    with progress.step(f"fidelity of {draft.name}"):
        figures, lacking = measured.check(draft)
    if figures and not lacking:
        return _variant(draft, figures), ""
    if draft.precision == "fp16" and (partly := _partly(job, draft)):
        other, note = partly
        with progress.step(f"fidelity of {draft.name}, parts of it in fp32"):
            figures, still_lacking = measured.check(other)
        if figures and not still_lacking:
            return _variant(other, figures), note
    for path in graph_files.of(draft.path):
        path.unlink()
    return None, f"{draft.name} is left out: {lacking}"


def _partly(job: BuildJob, draft: Draft) -> tuple[Draft, str] | None:
    """Convert an fp16 variant anew, with what exceeds fp16's range in fp32, and note which; None if nothing does."""
    with progress.step(f"convert {draft.name}, parts of it in fp32"):
        plain, passes = _plain(job)
        graphs = variants.Graphs(plain, passes, job.reading.settings.pooling)
        converted, passes, modules = variants.convert_partly(graphs, draft.name, job.expected.sequences)
        if not modules:
            return None
        graph_files.save(converted, draft.path, job.plan.largest)
    shown = ", ".join(modules[:_MODULES_SHOWN]) + (", …" if len(modules) > _MODULES_SHOWN else "")
    note = f"{draft.name} computes {len(modules)} modules in fp32, whose numbers exceed fp16's range: {shown}"
    return Draft(draft.path, draft.name, passes), note


class _Measured:
    """Measures variants in sequence, fp32 first, which is the reference for the others."""

    def __init__(self, job: BuildJob) -> None:
        self._job = job
        self._to_source = job.expected.vectors[: job.expected.measured]
        self._fp32 = self._to_source

    def check(self, draft: Draft) -> tuple[Fidelity | None, str]:
        """Return a variant's fidelity, and why it is too low to serve, or ''.

        Raises:
            BuildError: fp32's vectors differ from the source's.
        """
        try:
            vectors = self._vectors(draft)
        except (InferenceError, StartError) as error:
            if draft.name == "fp32":
                raise BuildError(f"the exported graph does not compute the texts of the build: {error}") from error
            return None, f"{error}, which would be refused for the same text each time"
        to_source = fidelity.similarity(fidelity.cosines(vectors, self._to_source))
        measured = Fidelity(fidelity.similarity(fidelity.cosines(vectors, self._fp32)), to_source)
        progress.say(fidelity.line(draft.name, measured))
        return measured, floors.shortfall(draft.precision, measured)

    def _vectors(self, draft: Draft) -> fidelity.Vectors:
        """Return vectors of the fidelity texts; for fp32, also compare all cases with the source."""
        expected, graph, packed = self._job.expected, _runnable(self._job, draft), manifest.PACKED in draft.passes
        sequences = expected.sequences if draft.name == "fp32" else expected.sequences[: expected.measured]
        vectors = fidelity.graph_vectors(graph, expected.dimension, sequences, packed, draft.name)
        if draft.name == "fp32":
            departs = floors.departure(expected.cases, fidelity.cosines(vectors, expected.vectors))
            if departs:
                raise BuildError(departs, *self._job.origin.causes())
            self._fp32 = vectors = vectors[: expected.measured]
        return vectors


def _runnable(job: BuildJob, draft: Draft) -> Path:
    """Return the draft's file; for CUDA-only graphs, a version with CPU operators."""
    if not draft.for_cuda:
        return draft.path
    model, path = ir.load(draft.path), job.space.scratch / draft.path.name
    apply(model, [StandInPass()])
    graph_files.save(model, path, job.plan.largest)
    return path
