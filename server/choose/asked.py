"""What is asked: inputs, budget and measure, from the command line."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server import __version__
from server.choose.evaluation import AGREEMENT, MEASURES, NDCG, OF_RELEVANCE
from server.choose.material import LEAST_TEXTS
from server.migrate.inputs import MODULES
from server.secret import MaskingParser

SAMPLE, LARGEST = 2000, 50_000
OVERRIDES = ("model", "models_dir", "threads")


@dataclass(frozen=True, slots=True)
class Asked:
    """The options. `budget` is a share; `folder` is None for the default, which names the model."""

    texts: str
    queries: str | None
    qrels: Path | None
    budget: float
    measure: str
    sample: int
    folder: Path | None
    fields: dict[str, str]
    input_format: str | None
    settings: dict[str, str]


def parse(arguments: Sequence[str] | None) -> Asked:
    """Parse the command line; exits with status 2 if it is wrong."""
    out = parser()
    given = out.parse_args(arguments)
    if given.qrels and not given.queries:
        out.error("--qrels says which texts are relevant to which queries: give --queries, too")
    measure = given.measure or (NDCG if given.qrels else AGREEMENT)
    if measure in OF_RELEVANCE and not given.qrels:
        out.error(f"--measure {measure} needs --qrels")
    return Asked(
        given.texts,
        given.queries,
        given.qrels,
        given.budget,
        measure,
        given.sample,
        given.folder,
        {"text_field": given.text_field or "", "id_field": given.id_field or ""},
        given.input_format,
        {name.upper(): value for name in OVERRIDES if (value := getattr(given, name))},
    )


def parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    out = MaskingParser(prog="python -m server.choose", description=__doc__, allow_abbrev=False)
    out.add_argument("--version", action="version", version=__version__)
    add = out.add_argument
    add("--texts", required=True, metavar="FILE", help="texts like those that will be searched, as migrate reads them")
    add("--queries", metavar="FILE", help="queries like those that will be asked (default: texts held out)")
    add("--qrels", type=Path, metavar="FILE", help="relevance: query id, text id, grade (TREC's or BEIR's columns)")
    add("--budget", type=budget, default="0.5%", metavar="PERCENT", help="quality that may be lost (default: 0.5%%)")
    add("--measure", choices=MEASURES, help=f"what the budget is of (default: {NDCG} with --qrels, else {AGREEMENT})")
    add("--sample", type=_size, default=SAMPLE, metavar="N", help=f"texts that are searched (default: {SAMPLE})")
    add("--folder", type=Path, metavar="FOLDER", help="vectors and results (default: choose-MODEL)")
    add("--text-field", metavar="NAME", help="field of the text, in texts and queries (default: text)")
    add("--id-field", metavar="NAME", help="field of the id, in texts and queries (default: id)")
    add("--input-format", choices=list(MODULES), help="format of texts and queries, if their names do not tell")
    add("--model", help="MODEL")
    add("--models-dir", help="MODELS_DIR")
    add("--threads", help="THREADS")
    return out


def budget(text: str) -> float:
    """Parse a percentage to a share.

    Raises:
        ArgumentTypeError: it is none, or not between 0 and 100 %.
    """
    percentage = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?) ?%", text.strip(), re.ASCII)
    if not percentage:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage; write one such as 0.5%")
    share = float(percentage[1]) / 100
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0% and 100%")
    return share


def _size(text: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", text) or not LEAST_TEXTS <= int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(f"must be a whole number from {LEAST_TEXTS} to {LARGEST}")
    return int(text)
