"""Overload from callers with a timeout: throughput delivered before it expires."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench import progress
from bench.load.call import MANY
from bench.load.caller import Caller
from bench.load.figures import Figures
from bench.load.finding import Finding
from bench.load.load import LoadScenario
from bench.load.service import LoadedService
from bench.load.stage import PAGES, LoadPace, Stage
from bench.load.verdict import LoadVerdict, percent
from bench.table import Table, number

LEAST = 0.9
# A request takes this much computing, so that the callers' patience is as many requests long on every machine.
REQUEST_S = 0.18
# Closed-loop clients that saturate the server, and the texts of their requests, to measure its capacity.
_CLIENTS, _TEXTS = 8, 16
# Warm-up and drain in multiples of the timeout: time for the server to estimate timeouts and for the queue to fill.
_WARM = 3.0


@dataclass(frozen=True)
class Trial:
    """A load of `times` the capacity. `computed` is the server's tokens a second from the first request to the last."""

    times: float
    patience_s: float
    announced: bool
    rate: float
    computed: float
    figures: Figures

    @property
    def callers(self) -> tuple[float, bool]:
        """The callers' timeout and whether it is announced."""
        return self.patience_s, self.announced


def run(stage: Stage) -> Finding:
    """Measure the capacity without timeouts, then run loads at and above it with timeouts."""
    trials: list[Trial] = []
    with stage.serve() as service, stage.caller() as caller:
        with progress.step("impatient: capacity"):
            patient = LoadScenario(
                PAGES, stage.pace.seconds, stage.pace.warm_s, texts=_TEXTS, clients=_CLIENTS, dialect=MANY
            )
            speed = caller.run(service, patient).loads[0].texts_per_s
        texts = max(1, round(REQUEST_S * speed))
        for patience_s, announced, times in _plan(stage.pace):
            how = "announced" if announced else "hang up"
            with progress.step(f"impatient: {times:g} times the capacity, {patience_s:g} s, {how}"):
                load = _load(stage, texts, times * speed / texts, patience_s, announced=announced)
                trials.append(_try(caller, service, load, times))
    title = f"{texts} texts of 200 tokens a request; {speed / texts:.1f} requests/s from callers who wait"
    return Finding(judge(trials), [_table(title, trials)], {"trials": [asdict(trial) for trial in trials]})


def judge(trials: Sequence[Trial]) -> list[LoadVerdict]:
    """Judge throughput against that of the same callers at capacity."""
    base = {trial.callers: trial.figures.tokens_per_s for trial in trials if trial.times == 1}
    shares = [
        (trial.figures.tokens_per_s / base[trial.callers] if base[trial.callers] else 0.0, trial)
        for trial in trials
        if trial.times > 1
    ]
    least, worst = min(shares, key=lambda pair: pair[0])
    said = f"{percent(least)} at {worst.times:g} times, {worst.patience_s:g} s {_how(worst)}"
    wrong = sum(_wrong(trial.figures) for trial in trials)
    return [
        LoadVerdict(f"delivered in time at least {percent(LEAST, 0)} of that at capacity", said, least >= LEAST),
        LoadVerdict("nothing but answers, 429 and 504", f"{wrong} others", not wrong),
    ]


def _plan(pace: LoadPace) -> list[tuple[float, bool, float]]:
    return [
        (patience_s, announced, times)
        for patience_s in pace.patience_s
        for announced in (True, False)
        for times in (1.0, *pace.overloads)
    ]


def _load(stage: Stage, texts: int, rate: float, patience_s: float, *, announced: bool) -> LoadScenario:
    return LoadScenario(
        PAGES,
        stage.pace.seconds,
        stage.pace.warm_s + _WARM * patience_s,
        drain_s=_WARM * patience_s,
        texts=texts,
        rate=rate,
        dialect=MANY,
        patience_s=patience_s,
        announced=announced,
    )


def _try(caller: Caller, service: LoadedService, load: LoadScenario, times: float) -> Trial:
    before = service.computed_tokens()
    measured = caller.run(service, load)
    computed = (service.computed_tokens() - before) / (load.warm_s + load.seconds)
    return Trial(times, load.patience_s, load.announced, load.rate, computed, measured.loads[0])


def _wrong(figures: Figures) -> int:
    good = sum(figures.outcomes[status].count for status in ("200", "429", "504") if status in figures.outcomes)
    return figures.planned - good - figures.gone - figures.unsent


def _how(trial: Trial) -> str:
    return "announced" if trial.announced else "hang up"


def _table(title: str, trials: Sequence[Trial]) -> Table:
    header = ("requests/s", "times", "patience", "computed", "delivered in time", "429", "504", "hung up")
    return Table(title, header, [_row(trial) for trial in trials])


def _row(trial: Trial) -> list[str]:
    figures = trial.figures
    refused, late = (
        number(figures.outcomes[status].count if status in figures.outcomes else 0) for status in ("429", "504")
    )
    return [
        number(trial.rate, 1),
        number(trial.times, 1),
        f"{trial.patience_s:g} s, {_how(trial)}",
        number(trial.computed),
        number(figures.tokens_per_s),
        refused,
        late,
        number(figures.gone),
    ]
