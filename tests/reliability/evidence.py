"""Evidence that a promise is kept: tests, `bench` loads and fuzzing, and the commands that run them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.serving import MINILM, MODELS, ROOT

_MINUTE = 60.0


@dataclass(frozen=True)
class Sizes:
    """The name and the sizes of one kind of run. Loads are in minutes, fuzzing is in seconds.

    `runs` is the number of runs of each seeded fault test, `cases` of schemathesis requests per route, `examples` of
    hypothesis examples, and `kills` of killed migrations in total. `bound` is the timeout of a piece of evidence, in
    minutes.
    """

    name: str
    runs: int
    fuzz: int
    cases: int
    examples: int
    kills: int
    rounds: int
    minutes: Mapping[str, float]
    bound: float


SHORT = Sizes("short", 1, 2, 2, 20, 11, 1, {"steady": 0.1, "overload": 0.1, "soak": 0.15}, 10)
DEFAULT = Sizes("default", 20, 30, 470, 1000, 11, 3, {"steady": 2, "overload": 1, "soak": 2}, 15)
LONG = Sizes("long", 20, 3600, 10_000, 10_000, 200, 5, {"steady": 30, "overload": 10, "soak": 60}, 600)


@dataclass(frozen=True)
class Order:
    """A command with its environment variables, its results file and its timeout in seconds."""

    command: tuple[str, ...]
    variables: Mapping[str, str]
    results: Path
    bound_s: float


@dataclass(frozen=True)
class Checks:
    """Pytest tests by id, run in the environment `.venv` or `.venv-NAME`; `seeded` ones are repeated."""

    nodes: tuple[str, ...]
    environment: str = ""
    seeded: bool = False

    def words(self) -> list[str]:
        """Return the evidence as Markdown, for the tables."""
        return [f"`{node}`" for node in self.nodes]

    def order(self, sizes: Sizes, seed: int, folder: Path) -> Order:
        """Return the pytest command, which writes JUnit XML."""
        results = folder / "tests.xml"
        bound_s = sizes.bound * _MINUTE
        command = [
            str(python(self.environment)),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "junit_family=xunit1",
        ]
        command += [f"--hypothesis-seed={seed}", f"--timeout={bound_s:g}", f"--junitxml={results}", *self.nodes]
        variables = {
            "FAULT_RUNS": str(sizes.runs if self.seeded else 1),
            "FAULT_SEED": str(seed),
            "FUZZ_SECONDS": str(sizes.fuzz),
            "FUZZ_SEED": str(seed),
            "HYPOTHESIS_EXAMPLES": str(sizes.examples),
            "MIGRATE_KILLS": str(sizes.kills),
            "SCHEMATHESIS_EXAMPLES": str(sizes.cases),
        }
        return Order(tuple(command), variables, results, bound_s)


@dataclass(frozen=True)
class Scenario:
    """A scenario of `python -m bench load`; a `brief` one, of many loads, runs in full in long runs only."""

    name: str
    brief: bool = False

    def words(self) -> list[str]:
        """Return the evidence as Markdown, for the tables."""
        return [f'`make load LOAD_ARGS="--scenarios {self.name}"`']

    def order(self, sizes: Sizes, _seed: int, folder: Path) -> Order:
        """Return the load command, which writes JSON. Its arrivals are seeded by the round."""
        results = folder / "load.json"
        minutes = sizes.minutes.get(self.name, 0)
        command = [str(python("")), "-m", "bench", "load", "--scenarios", self.name, "--rounds", str(sizes.rounds)]
        command += ["--model", MINILM, "--models-dir", str(MODELS), "--quantization", "int8", "--json", str(results)]
        command += ["--minutes", str(minutes)] if minutes else []
        command += ["--short"] if sizes.name == SHORT.name or (self.brief and sizes.rounds < LONG.rounds) else []
        return Order(tuple(command), {}, results, (2 * minutes + sizes.bound) * _MINUTE)


@dataclass(frozen=True)
class Fuzz:
    """A target of the coverage-guided fuzzer, which has its own environment."""

    target: str

    def words(self) -> list[str]:
        """Return the evidence as Markdown, for the tables."""
        return [f"`.venv-fuzz/bin/python -m tests.fuzz {self.target}`"]

    def order(self, sizes: Sizes, seed: int, folder: Path) -> Order:
        """Return the fuzzer's command, which prints the number of inputs at the end."""
        command = (
            str(python("fuzz")),
            "-m",
            "tests.fuzz",
            self.target,
            "--seconds",
            str(sizes.fuzz),
            "--seed",
            str(seed),
        )
        return Order(command, {}, folder / "output", sizes.fuzz + sizes.bound * _MINUTE)


Evidence = Checks | Scenario | Fuzz


def python(environment: str) -> Path:
    """Return the interpreter of `.venv`, or of `.venv-ENVIRONMENT`."""
    return ROOT / (f".venv-{environment}" if environment else ".venv") / "bin" / "python"
