"""Which architectures are encoders, according to transformers.

Its tables are parsed from its source, because importing them imports torch, which takes seconds.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path

from build.errors import BuildError
from build.sources.snapshot import Snapshot


def check_encoder(snapshot: Snapshot) -> str:
    """The model's architecture (`bert`, `xlm-roberta`, …).

    Raises:
        BuildError: a decoder, an encoder-decoder, remote code, or an architecture that transformers has not.
    """
    config = snapshot.json("config.json")
    architecture = str(config.get("model_type", ""))
    if "auto_map" in config and architecture not in known():
        raise BuildError(f"{snapshot.id} needs code from its own repository, which is never run here")
    if architecture not in known():
        raise BuildError(f"{snapshot.id}: transformers knows no architecture {architecture!r}")
    if architecture not in encoders() or config.get("is_encoder_decoder") or config.get("is_decoder"):
        raise BuildError(
            f"{snapshot.id} is a {architecture} model, not an encoder: its tokens do not see the whole text. Choose an "
            "encoder (docs/models.md lists them), or serve this one with sentence-transformers or Text Embeddings "
            "Inference"
        )
    return architecture


def known() -> frozenset[str]:
    """All architectures of the installed transformers."""
    return _keys("configuration_auto", "CONFIG_MAPPING_NAMES")


def encoders() -> frozenset[str]:
    """The architectures that have a masked language model: each token attends to the whole text."""
    return _keys("modeling_auto", "MODEL_FOR_MASKED_LM_MAPPING_NAMES")


@cache
def _keys(module: str, table: str) -> frozenset[str]:
    """The keys of `TABLE = OrderedDict([(key, value), …])` in a module of `transformers.models.auto`.

    Raises:
        BuildError: transformers is not installed.
    """
    spec = importlib.util.find_spec("transformers")
    if spec is None or spec.origin is None:
        raise BuildError("transformers is not installed here; use the build's environment (make .venv-build/ready)")
    path = Path(spec.origin).with_name("models") / "auto" / f"{module}.py"
    for node in ast.parse(path.read_text("utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[pairs])) if name == table:
                return frozenset(key for key, _ in ast.literal_eval(pairs))
    raise LookupError(f"{path} has no {table}")
