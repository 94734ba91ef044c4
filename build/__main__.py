"""`python -m build`: build a model's ONNX variants, or `inspect` a model's folder."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from build import card, inspection, texts
from build.errors import BuildError
from build.pooling import Pooling
from build.progress import say
from build.sources import CACHE, EXPLAIN
from build.sources.snapshot import Form
from server.errors import StartError
from server.model.manifest import POOLING_MODES, PRECISIONS, VARIANTS, VariantName

FORMS: tuple[Form, ...] = get_args(Form)
DEFAULT_MODEL = "BAAI/bge-large-en-v1.5"
# Without fp32-cuda: a second full-size file that few need.
BUILT: tuple[VariantName, ...] = (*PRECISIONS, "fp16-cuda")


def parser() -> argparse.ArgumentParser:
    """Return the argument parser; defaults come from environment variables, which `make` sets."""
    out = argparse.ArgumentParser(
        prog="python -m build",
        description="Turn a sentence-embedding model into ONNX variants and a manifest.",
        epilog=f"sources:\n{EXPLAIN}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out.add_argument("--model", default=os.environ.get("MODEL") or DEFAULT_MODEL, help="the source, see below")
    out.add_argument("--revision", default=None, help="Hub commit or tag (default: the pinned one, else the newest)")
    out.add_argument("--models-dir", type=Path, default=Path(os.environ.get("MODELS_DIR") or "models"))
    out.add_argument("--cache", type=Path, default=CACHE, help="where downloads are kept")
    out.add_argument(
        "--precisions",
        type=_variants,
        default=BUILT,
        help=f"comma-separated, of {','.join(VARIANTS)} (default {','.join(BUILT)}); fp32 is always made",
    )
    out.add_argument("--texts", type=Path, default=texts.OWN, help="texts to measure fidelity on (.jsonl or lines)")
    out.add_argument("--calibrate", type=Path, default=texts.CALIBRATION, help="texts to take int8's ranges from")
    out.add_argument(
        "--pooling", type=_pooling, help=f"of a folder without modules.json: {', '.join(POOLING_MODES)}, joined by +"
    )
    out.add_argument(
        "--from",
        dest="form",
        metavar="|".join(FORMS),
        type=_form,
        default=os.environ.get("FROM") or "weights",
        help="what to begin with: the weights, or the model's own ONNX file, without torch (default weights)",
    )
    out.add_argument("--no-preflight", action="store_true", help="do not check free disk and memory first")
    verbs = out.add_subparsers(dest="verb", metavar="inspect", title="instead of building")
    purpose = "print what a build would read from a model's folder, or all problems that prevent one"
    verbs.add_parser("inspect", help=purpose, description=purpose).add_argument("folder", type=Path)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one build or inspection; returns the exit status: 0 done, 1 refused or failed, 130 interrupted."""
    given = parser().parse_args(arguments)
    # Raise KeyboardInterrupt on SIGTERM too, so that the staging folder is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        say(_inspect(given) if given.verb else f"built {_build(given)}")
    except (BuildError, StartError) as error:
        for problem in error.problems if isinstance(error, BuildError) else (error,):
            print(f"error: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}\nNothing was changed in {given.models_dir}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nstopped; nothing was changed in {given.models_dir}", file=sys.stderr)
        return 130
    return 0


def _inspect(given: argparse.Namespace) -> str:
    return card.of_source(inspection.read_folder(given.folder, given.pooling, given.form)).text()


def _build(given: argparse.Namespace) -> Path:
    from build.pipeline import BuildPlan, build  # noqa: PLC0415 - its libraries take a second to import

    plan = BuildPlan(
        model=given.model,
        models_dir=given.models_dir,
        cache=given.cache,
        wanted=given.precisions,
        fidelity_texts=given.texts,
        calibration_texts=given.calibrate,
        revision=given.revision,
        preflight=not given.no_preflight,
        pooling=given.pooling,
        form=given.form,
    )
    return build(plan)


def _form(value: str) -> str:
    if value not in FORMS:
        raise argparse.ArgumentTypeError(f"{value!r}: choose from {', '.join(FORMS)}")
    return value


def _pooling(value: str) -> Pooling:
    try:
        return Pooling.named(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r}: choose from {', '.join(POOLING_MODES)}") from None


def _variants(value: str) -> tuple[VariantName, ...]:
    named = [word.strip() for word in value.split(",") if word.strip()]
    wrong = [word for word in named if word not in VARIANTS]
    if wrong or not named:
        raise argparse.ArgumentTypeError(f"{value!r}: choose from {', '.join(VARIANTS)}")
    return tuple(name for name in VARIANTS if name in named or name == "fp32")


if __name__ == "__main__":
    sys.exit(main())
