"""`python -m bench compare`: compare all variants of a model, in the runtime environment only."""

import base64
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

import numpy as np

from bench import catalog, fidelity, host, progress, rounds
from bench.comparison import WORKLOADS, VariantComparison, VariantFigures
from bench.fidelity import Pairs, Rows
from bench.process import Worker
from bench.rounds import LOAD_TIMEOUT_S, Contestants, RoundPace
from bench.subject import BenchSubject
from bench.workloads import Workload
from server.inference import device

STARTS = 3
_CHUNK = 16
# A variant that has spent this long on a workload runs no further rounds of it.
_SECONDS = 20.0

Variants = dict[str, VariantFigures]


def compare(subject: BenchSubject, turns: int, sample: list[str], pairs: Pairs | None) -> VariantComparison:
    """Measure every variant in the manifest: speed in `turns` rounds, fidelity on the texts of `sample`.

    With `pairs`, also measure rank correlation. A variant that fails is listed in `skipped`; the others continue.
    """
    described = host.describe()
    variants = _variants(subject)
    workloads = subject.workloads(WORKLOADS)
    with _started(subject, variants) as contestants:
        _measure_memory(contestants, subject, variants)
        _measure_speed(contestants, workloads, turns, variants)
        _measure_fidelity(contestants, subject, sample, variants)
        if pairs:
            _measure_spearman(contestants, subject, pairs, variants)
        skipped = contestants.dropped
    finished = {name: measured for name, measured in variants.items() if name not in skipped}
    return VariantComparison(
        subject, described, workloads, finished, skipped, len(sample), len(pairs.left) if pairs else 0
    )


def _variants(subject: BenchSubject) -> Variants:
    made = subject.manifest.variants
    on_gpu = subject.on_cuda if device.detect("auto", None).device == "cuda" else []
    return {name: VariantFigures(made[name].file, made[name].total_bytes) for name in (*subject.precisions, *on_gpu)}


@contextmanager
def _started(subject: BenchSubject, variants: Variants) -> Iterator[Contestants]:
    """Start every variant STARTS times, interleaved, and keep the last workers."""
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        contestants = Contestants(workers)
        with progress.step("load") as show:
            for number, name in rounds.turns(list(variants), STARTS):
                if name in contestants.dropped:
                    continue
                show(f"load: {name}, {number + 1} of {STARTS}")
                workers[name] = stack.enter_context(catalog.start(catalog.ours([name])[0], subject.threads))
                _load(contestants, name, subject, variants[name])
                if number < STARTS - 1:
                    workers[name].close()
        yield contestants


def _load(contestants: Contestants, name: str, subject: BenchSubject, measured: VariantFigures) -> None:
    answer = contestants.ask(name, "load", LOAD_TIMEOUT_S, task=asdict(subject.task(name)))
    if answer is not None:
        measured.load_s.append(answer["seconds"])
        measured.resident_at_rest = answer["resident"]
        measured.versions = answer["versions"]


def _measure_memory(contestants: Contestants, subject: BenchSubject, variants: Variants) -> None:
    batch = subject.largest_batch()
    with progress.step("largest batch"):
        for name in contestants.names():
            contestants.ask(name, "run", sequences=batch, seconds=0.0, most=1)
            variants[name].resident_after_largest_batch = _resident(contestants, name)


def _measure_speed(contestants: Contestants, workloads: list[Workload], turns: int, variants: Variants) -> None:
    for workload in workloads:
        with progress.step(f"speed, {workload.title}") as show:
            for name, done in rounds.measure(contestants, workload, RoundPace(turns, _SECONDS), show).items():
                variants[name].turns[workload.name] = done
    for name in contestants.names():
        variants[name].resident_at_end = _resident(contestants, name)


def _measure_fidelity(contestants: Contestants, subject: BenchSubject, sample: list[str], variants: Variants) -> None:
    vectors = _embed_all(contestants, subject.encode(sample), "fidelity")
    if "fp32" in vectors:
        for name, rows in vectors.items():
            variants[name].fidelity = fidelity.compare(rows, vectors["fp32"])


def _measure_spearman(contestants: Contestants, subject: BenchSubject, pairs: Pairs, variants: Variants) -> None:
    for name, rows in _embed_all(contestants, subject.encode(pairs.left + pairs.right), "pairs").items():
        left, right = np.split(rows, 2)
        variants[name].spearman = fidelity.spearman(fidelity.cosine(left, right), pairs.scores)


def _resident(contestants: Contestants, name: str) -> int | None:
    answer = contestants.ask(name, "memory") if name in contestants.names() else None
    return answer["resident"] if answer else None


def _embed_all(contestants: Contestants, sequences: list[list[int]], label: str) -> dict[str, Rows]:
    with progress.step(f"{label}, {len(sequences)} texts"):
        embedded = {name: embed(contestants, name, sequences, label) for name in contestants.names()}
    return {name: rows for name, rows in embedded.items() if rows is not None}


def embed(contestants: Contestants, name: str, sequences: list[list[int]], label: str) -> Rows | None:
    """Return one contender's vectors [texts, dimension], computed in chunks sorted by length; None if it fails."""
    order = sorted(range(len(sequences)), key=lambda place: len(sequences[place]))
    rows: Rows | None = None
    for start in range(0, len(order), _CHUNK):
        progress.show(f"{label}: {name}, {start} of {len(order)} texts")
        chosen = order[start : start + _CHUNK]
        answer = contestants.ask(name, "embed", sequences=[sequences[place] for place in chosen])
        if answer is None:
            return None
        block = np.frombuffer(base64.b64decode(answer["vectors"]), np.float32).reshape(answer["shape"])
        rows = np.empty((len(order), block.shape[1]), np.float32) if rows is None else rows
        rows[chosen] = block
    return rows
