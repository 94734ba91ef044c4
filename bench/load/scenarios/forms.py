"""What each output type and encoding costs over HTTP, beside numbers in JSON: requests of 32 texts, rounds in turns.

Each form is measured twice: with vectors that are computed, and with vectors from the server's cache, where nothing but
HTTP is left, as beside a fast GPU.
"""

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from bench import progress
from bench.load.call import Dialect, request
from bench.load.caller import Caller, Run
from bench.load.connection import ClientConnection
from bench.load.corpus import Corpus
from bench.load.finding import Finding
from bench.load.load import LoadScenario
from bench.load.service import LoadedService
from bench.load.stage import SHORT_QUERIES, Stage
from bench.load.verdict import LoadVerdict, all_answered
from bench.table import Table, number

TEXTS = 32
CLIENTS = 4
REPEATED = "repeated"
_BEFORE = '{"texts":["'
_TURN_S = 4.0


def _form(options: str = "", accept: str = "") -> Dialect:
    return Dialect("/embed", _BEFORE, f'"]{options}}}', accept=accept)


PLAIN = "JSON, float"
FORMS: Mapping[str, Dialect] = {
    PLAIN: _form(),
    "JSON, int8": _form(',"output_dtype":"int8"'),
    "JSON, binary": _form(',"output_dtype":"binary"'),
    "base64, float": _form(',"encoding_format":"base64"'),
    "base64, float16": _form(',"encoding_format":"base64","output_dtype":"float16"'),
    "base64, int8": _form(',"encoding_format":"base64","output_dtype":"int8"'),
    "bytes, float": _form(accept="application/octet-stream"),
    "bytes, float16": _form(',"output_dtype":"float16"', "application/octet-stream"),
    "bytes, binary": _form(',"output_dtype":"binary"', "application/octet-stream"),
    "npy, float": _form(accept="application/x-npy"),
}


@dataclass(frozen=True)
class FormMeasured:
    """One form: `size`, the body's bytes for a text, and its rounds with computed and with cached vectors."""

    size: float
    computed: list[Run]
    cached: list[Run]


def run(stage: Stage) -> Finding:
    """Measure each form in turns on one server, whose cache holds the repeated texts."""
    words = stage.corpora[SHORT_QUERIES].words
    repeated = Corpus(words[:1], stage.corpora[SHORT_QUERIES].tails[:TEXTS])
    corpora = {REPEATED: repeated, SHORT_QUERIES: stage.corpora[SHORT_QUERIES]}
    with stage.serve(CACHE_ENTRIES=str(2 * TEXTS)) as service, Caller(corpora) as caller:
        known = [repeated.text(number_) for number_ in range(TEXTS)]
        sizes = {name: asyncio.run(body_size(service.port, request(form, known))) for name, form in FORMS.items()}
        measured = {name: FormMeasured(size / TEXTS, [], []) for name, size in sizes.items() if size}
        for round_ in range(stage.pace.rounds):
            with progress.step(f"forms: round {round_ + 1} of {stage.pace.rounds}"):
                _round(stage, caller, service, measured)
    raw = {name: asdict(one) for name, one in measured.items()}
    refused = {f"forms, {name}": "the model has no such output" for name in sizes.keys() - measured.keys()}
    return Finding(judge(measured), [_table(measured)], raw, refused)


def judge(measured: Mapping[str, FormMeasured]) -> list[LoadVerdict]:
    """Judge the responses; speeds have no target."""
    runs = [run for one in measured.values() for run in (*one.computed, *one.cached)]
    return [all_answered(run.loads[0] for run in runs)]


def ratio(runs: Sequence[Run], plain: Sequence[Run]) -> float | None:
    """Return the median speed in texts/s relative to `plain`'s round by round; None if a round answered nothing."""
    pairs = [(one.loads[0].texts_per_s, base.loads[0].texts_per_s) for one, base in zip(runs, plain, strict=True)]
    return statistics.median(one / base for one, base in pairs) if all(base for _, base in pairs) else None


async def body_size(port: int, content: bytes) -> int:
    """Send one request and return the bytes of the response's body; 0 if it is refused.

    Raises:
        ConnectionError: no response.
    """
    connection = await ClientConnection.to(port)
    try:
        answer = await connection.ask(content)
    finally:
        connection.close()
    return answer.size if answer.status == 200 else 0


def _round(stage: Stage, caller: Caller, service: LoadedService, measured: Mapping[str, FormMeasured]) -> None:
    seconds = stage.pace.seconds  # A large model computes a request for a second: less would count whole ones.
    turns = (SHORT_QUERIES, seconds), (REPEATED, min(_TURN_S, seconds))
    for name, one in measured.items():
        for (corpus, turn_s), runs in zip(turns, (one.computed, one.cached), strict=True):
            load = LoadScenario(corpus, turn_s, stage.pace.warm_s, texts=TEXTS, clients=CLIENTS, dialect=FORMS[name])
            runs.append(caller.run(service, load))


def _table(measured: Mapping[str, FormMeasured]) -> Table:
    plain = measured[PLAIN]
    rows = []
    for name, one in measured.items():
        cpu = statistics.median(run.service_cpu_s / max(1, run.texts) for run in one.cached)
        speeds = [statistics.median(run.loads[0].texts_per_s for run in runs) for runs in (one.computed, one.cached)]
        times = ratio(one.computed, plain.computed), ratio(one.cached, plain.cached)
        cells = [(speeds[0], 0), (times[0], 2), (speeds[1], 0), (times[1], 1), (cpu * 1e6, 1)]
        rows.append([name, number(one.size), *(number(value, digits) for value, digits in cells)])
    header = (
        "form",
        "bytes a text",
        "texts/s",
        "× JSON",
        "texts/s, cached",
        "× JSON",
        "server's CPU µs a text, cached",
    )
    return Table(f"{CLIENTS} clients, {TEXTS} short texts a request, {len(plain.cached)} rounds in turns", header, rows)
