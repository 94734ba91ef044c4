"""The model card: what was read from the source, and for a built model the decisions, fidelity, files and usage."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from build import known_settings, page
from build.clean import seal
from build.inspection import Reading
from build.layers import DenseLayer, ScaleLayer, UnitLayer
from build.page import Commands, Part, Rows, Section
from build.sentence import NO_LIMIT
from server.migrate.ownership import owned_files
from server.model import manifest, space
from server.model.manifest import FOR_CUDA, PRECISIONS, VARIANTS, File, Manifest, Variant, VariantName

# A key that ends in a hyphen is a prefix.
PURPOSES: Mapping[str, str] = {
    "fold-token-types": "all tokens of a single text have type 0: a constant instead of an input",
    "mark-prompt": "a prompt's tokens are marked in the input and left out of the pooling",
    "pool-": "pooling and L2 normalization in the graph: any ONNX Runtime client gets unit vectors",
    "add-layers": "the layers behind pooling, in fp32",
    "fuse-layer-norm": "LayerNorm as one operator, which graphs below opset 17 have in nine",
    "tabulate-rotary": "rotary positions from a table: exact in fp16, too",
    "name-weights": "weights are named after the source's modules",
    "split-projections": "one product each for query, key and value, and for the halves of a gated unit",
    "fuse-rotary": "rotary positions as one operator",
    "fuse-attention": "attention as one operator",
    "fuse-gelu": "Gelu as one operator",
    "trim-last-layer": "the last layer is computed only for the pooled token",
    "fold-attention-biases": "the key's bias cancels in softmax; the value's is added after attention",
    "pack-tokens": "padding is not computed",
    "sort-texts": "texts of equal length are neighbours and share one attention",
    "fuse-sums": "biases and residual sums are computed by the operators that read them",
    "share-weights": "what several layers have in common is stored once",
    "float16": "weights and activations in 16 bits",
    "float16-partly": "weights and activations in 16 bits, except for numbers beyond their range",
    "int8-token": "linear layers in 8 bits, activations quantized with a scale per token at run time",
    "int8-static": "linear layers in 8 bits, activations quantized with scales from the calibration texts",
    "int8-batch": "linear layers in 8 bits, activations quantized with one scale per batch",
    "int8-pairs": "of two neighbouring weights, both products fit 16 bits: equal sums on every CPU",
    "reduce-range": "weights in 7 bits: equal sums on every CPU",
}

_LAYERS: Mapping[type, str] = {DenseLayer: "Dense", ScaleLayer: "LayerNorm", UnitLayer: "Normalize"}


@dataclass(frozen=True)
class Card:
    """The card of one model; it contains no time, host or path, so that equal inputs give equal cards."""

    name: str
    sections: Sequence[Section]

    def text(self) -> str:
        """Render for a terminal."""
        return page.text(self.name, self.sections)

    def write(self, path: Path) -> None:
        """Create a markdown file that ends in the seal.

        Raises:
            OSError: the path exists, or the file cannot be written.
        """
        content = page.markdown(self.name, self.sections) + "\n"
        with owned_files.stream(path) as file:
            file.write((content + seal(content)).encode())


def of_source(reading: Reading) -> Card:
    """The card of a source that is not built yet."""
    return Card(reading.snapshot.name, [_source(reading), _files_read(reading)])


def of_model(reading: Reading, made: Manifest) -> Card:
    """The card of a built model with its manifest."""
    measured = _measured(made, reading.graph)
    after = (part(made) for part in (_files_written, _serving, _licence, _tools))
    return Card(made.name, [*of_source(reading).sections, _decided(made), measured, *after])


def _source(reading: Reading) -> Section:
    snapshot, settings = reading.snapshot, reading.settings
    modules = "" if settings.pooling_named else known_settings.MODULES
    rows = [
        ("model", snapshot.id, snapshot.kind),
        ("revision", snapshot.revision, "the files' hashes" if snapshot.kind == "folder" else ""),
        ("licence", snapshot.licence, {"hub": "the Hub", "folder": "README.md"}.get(snapshot.kind, "")),
        ("architecture", reading.architecture, "config.json"),
        *([("source graph", reading.graph, "FROM=onnx")] if reading.graph else []),
        ("pooling", settings.pooling.name, settings.pooling_file or "named for the build (--pooling)"),
        *([] if settings.pooling.include_prompt else [("prompt pooled", "no", settings.pooling_file or "")]),
        *(("layer behind pooling", _LAYERS[type(layer)], modules) for layer in settings.layers),
        ("unit length", "yes" if settings.normalizes else "no, the graph adds it", modules),
        ("longest text", f"{settings.max_tokens} tokens", "the smallest limit"),
        *(("limit", _limit(tokens), where) for where, tokens in settings.limits.items()),
        *_prompts(reading),
    ]
    return Section("What was read", [Rows(("setting", "value", "from"), rows)])


def _limit(tokens: int) -> str:
    return f"{tokens} tokens" if tokens < NO_LIMIT else "none"


def _prompts(reading: Reading) -> Iterator[tuple[str, str, str]]:
    settings = reading.settings
    if not settings.prompts:
        yield "prompts", "none", ""
    for name, prompt in settings.prompts.items():
        where = "its card on the Hub" if name in settings.from_card else known_settings.SENTENCE
        yield f"prompt {name}", f'"{prompt}"', where
    if settings.default_prompt_name:
        yield "default prompt", settings.default_prompt_name, known_settings.SENTENCE


def _files_read(reading: Reading) -> Section:
    folder, files = reading.snapshot.folder, reading.snapshot.files
    rows = [(name, f"{(folder / name).stat().st_size:,}", digest) for name, digest in files.items()]
    return Section("Files read", [Rows(("file", "bytes", "SHA-256"), rows)])


def _decided(made: Manifest) -> Section:
    graph = "padding-free" if made.variants["fp32"].packed else "as exported, padding included"
    passes = dict.fromkeys(name for variant in _variants(made).values() for name in variant.passes)
    parts: list[Part] = [
        f"The graph of fp32 is {graph}. Its vectors have {made.dimension} dimensions and unit length.",
        Rows(("variant", "built", "passes, or why not"), [_built(made, name) for name in VARIANTS]),
        Rows(("pass", "what for"), [(name, purpose(name)) for name in passes]),
        Rows(("variant", "embedding space"), list(space.of_variants(made).items())),
    ]
    if made.notes:
        parts.append(Rows(("note",), [(note,) for note in made.notes]))
    return Section("What was decided", parts)


def _variants(made: Manifest) -> dict[VariantName, Variant]:
    return {name: made.variants[name] for name in VARIANTS if name in made.variants}


def _built(made: Manifest, name: VariantName) -> tuple[str, str, str]:
    if name in made.variants:
        return name, "yes", " → ".join(made.variants[name].passes)
    beginnings = (f"{name} is left out: ", f"{name} cannot be made")
    reasons = (note for note in made.notes if note.startswith(beginnings))
    return name, "no", next(reasons, "not requested (--precisions)")


def purpose(name: str) -> str:
    """The purpose of a graph pass; empty if PURPOSES does not have it."""
    matches = (text for key, text in PURPOSES.items() if name == key or (key[-1] == "-" and name.startswith(key)))
    return next(matches, "")


def _measured(made: Manifest, graph: str | None) -> Section:
    head = ("variant", "MB", "cosine to the source: mean", "1st percentile", "min", "to fp32: mean", "min")
    texts, calibration = made.fidelity_texts, made.calibration_texts
    parts: list[Part] = [
        f"Measured on {texts.count} texts (SHA-256 {texts.sha256}).",
        *([f"The source is {graph}, run by ONNX Runtime in fp32, not by sentence-transformers."] if graph else []),
        Rows(head, [_figures(name, variant) for name, variant in _variants(made).items()]),
        f"int8 is calibrated on {calibration.count} texts (SHA-256 {calibration.sha256}).",
    ]
    if any(variant.device == "cuda" for variant in made.variants.values()):
        parts.append("Graphs for CUDA run only there; their fidelity was measured with an equivalent CPU graph.")
    return Section("Fidelity and size", parts)


def _figures(name: str, variant: Variant) -> tuple[str, ...]:
    source, fp32 = variant.fidelity.to_source, variant.fidelity.to_fp32
    cosines = (source.mean, source.p01, source.min, fp32.mean, fp32.min)
    return (name, f"{variant.total_bytes / 1e6:,.1f}", *(f"{cosine:.6f}" for cosine in cosines))


def _files_written(made: Manifest) -> Section:
    encoded = manifest.encode(made)
    own = File(f"{made.name}.json", len(encoded), hashlib.sha256(encoded).hexdigest())
    graphs = (file for variant in _variants(made).values() for file in variant.files)
    files = (own, made.tokenizer, *graphs)
    rows = [(file.file, f"{file.bytes:,}", file.sha256) for file in files]
    return Section("Files written", [Rows(("file", "bytes", "SHA-256"), rows)])


def _serving(made: Manifest) -> Section:
    name, body = made.name, '{"text": "Hello world"}'
    lines = [f"make serve MODEL={name} QUANTIZATION={one}" for one in PRECISIONS if one in made.variants]
    for precision, variant in FOR_CUDA.items():
        if variant in made.variants:
            lines.append(f"make serve MODEL={name} QUANTIZATION={precision} DEVICE=cuda")
    if "query" in made.prompts:
        body = '{"text": "Hello world", "input_type": "query"}'
    lines.append(f"curl -s localhost:8000/embed -H 'Content-Type: application/json' -d '{body}'")
    return Section("How to serve it", [Commands(lines), "If the files are not in models/, add MODELS_DIR=FOLDER."])


def _licence(made: Manifest) -> Section:
    licence = made.source.licence
    stated = "The source's files name no licence." if licence == "unknown" else f"The source's licence is {licence}."
    return Section("Licence", [f"{stated} These files are made from its weights: its terms apply to them, too."])


def _tools(made: Manifest) -> Section:
    return Section("Made with", [Rows(("tool", "version"), list(made.tools.items()))])
