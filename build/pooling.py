"""How token vectors become one vector: sentence-transformers' Pooling module, read from its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from build import known_settings
from build.errors import BuildError
from build.sources.snapshot import Snapshot
from server.model.manifest import POOLING_MODES, PoolingMode


@dataclass(frozen=True)
class Pooling:
    """The pooling modes in the order of concatenation; `include_prompt` says whether a prompt's tokens are pooled."""

    modes: tuple[PoolingMode, ...]
    include_prompt: bool = True

    @classmethod
    def named(cls, name: str) -> "Pooling":
        """Return the pooling of that name, such as `cls` or `mean+max`.

        Raises:
            ValueError: it has other than pooling modes.
        """
        return cls(msgspec.convert(name.split("+"), tuple[PoolingMode, ...]))

    @property
    def name(self) -> str:
        """The name in the manifest: `cls`, `mean+max`."""
        return "+".join(self.modes)

    @property
    def reads_first_token_alone(self) -> bool:
        """Whether only the first token's vector is needed."""
        return self.modes == ("cls",) and self.include_prompt


def read(snapshot: Snapshot, folder: str, *, prompted: bool) -> Pooling:
    """Read the module in `folder`; `prompted` says whether the model has prompts.

    Raises:
        BuildError: a setting or a mode is unknown, or there is no mode.
    """
    name = f"{folder}/config.json"
    config = snapshot.json(name)
    known_settings.check_own(config, known_settings.OF_POOLING, f"{snapshot.folder / name}")
    stated = _stated(config)
    try:
        modes = msgspec.convert(stated, tuple[PoolingMode, ...])
    except msgspec.ValidationError:
        modes = ()
    if not modes:
        raise BuildError(
            f"{snapshot.folder / name}: it pools by {'+'.join(map(str, stated)) or 'nothing'}; "
            f"supported are {', '.join(POOLING_MODES)}, one or several"
        )
    return Pooling(modes, include_prompt=config.get("include_prompt") is not False or not prompted)


def _stated(config: Mapping[str, Any]) -> list[object]:
    """Return the enabled modes; `pooling_mode` of newer files overrides the flags of older ones."""
    stated = config.get("pooling_mode")
    if "pooling_mode" in config:
        return list(stated) if isinstance(stated, list) else [stated]
    return [mode for flag, mode in known_settings.POOLING_FLAGS.items() if config.get(flag)]
