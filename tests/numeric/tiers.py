"""`make tiers`: whether a variant's vectors on older processors, which QEMU emulates, are those of this one."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.fidelity import cosine
from server.inference.engine import OnnxEngine, Resources
from server.service.startup import load
from server.settings import resolve
from tests.numeric.sentences import Vectors, texts
from tests.serving import MINILM, MODELS, ROOT

QEMU = "qemu-x86_64-static"
# QEMU emulates neither AVX-512 nor VNNI.
PROCESSORS = {"Haswell": "AVX2", "Nehalem": "SSE4.2"}
PRECISIONS = ("fp32", "int8", "int8-static")
# Ten texts: emulated, they take a minute or two.
STEP = 36
# Rounding of other vector widths; saturating sums give 0.99 (docs/quantization.md).
LEAST = 0.999


def main(models: Path, name: str) -> int:
    """Print each variant's cosines to this processor; return 1 if one is below `LEAST`."""
    if not shutil.which(QEMU):
        sys.exit(f"{QEMU} is not installed (apt-get install qemu-user-static)")
    least = 1.0
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            expected = computed(Path(folder), [], models, name, precision)
            for processor, flags in PROCESSORS.items():
                vectors = computed(Path(folder), [QEMU, "-cpu", processor], models, name, precision)
                near = cosine(vectors, expected)
                least = min(least, float(near.min()))
                print(f"{precision:12} {processor} ({flags}): {near.mean():.6f} on average, {near.min():.6f} at least")
    return int(least < LEAST)


def computed(folder: Path, emulated: list[str], *model: str | Path) -> Vectors:
    """Return the vectors that a new process computes, emulated or not."""
    path = folder / "vectors.npy"
    command = [*emulated, os.path.realpath(sys.executable), "-m", "tests.numeric.tiers", *map(str, model), str(path)]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(command, check=False, cwd=ROOT, env=environ, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return np.asarray(np.load(path), np.float32)


def compute(models: str, name: str, precision: str, target: str) -> None:
    """Save the vectors of one text in 36 of the fidelity tests, computed one by one on one thread."""
    settings = {"MODEL": name, "MODELS_DIR": models, "QUANTIZATION": precision, "DEVICE": "cpu", "THREADS": "1"}
    loaded = load(resolve(settings))
    manifest, resources = loaded.artifact.manifest, Resources("cpu", 1, 512, packed=loaded.artifact.variant.packed)
    engine = OnnxEngine(loaded.artifact.model_path, manifest.dimension, manifest.max_tokens, resources)
    encoded = loaded.tokenizer.encode(texts()[::STEP], "")
    np.save(target, np.concatenate([engine.embed([one.ids]) for one in encoded]))


if __name__ == "__main__":
    if len(sys.argv) == 5:
        compute(*sys.argv[1:])
    else:
        raise SystemExit(main(Path(os.environ.get("MODELS_DIR") or MODELS), os.environ.get("MODEL") or MINILM))
