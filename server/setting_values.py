"""Parsers of settings: text to a value. A ValueError says what is allowed, and the caller names the setting."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from server.secret import Location, Secret

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MODEL_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}(/[A-Za-z0-9._:@-]{1,128})*")
MOST_ALIASES = 32


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high`."""
    span = f"a whole number from {low} to {high}" if high is not None else f"a whole number of at least {low}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or int(text) < low or (high is not None and int(text) > high):
            raise ValueError(f"must be {span}")
        return int(text)

    return parse


def whole_or_auto(low: int) -> Callable[[str], int | None]:
    """Return a parser of whole numbers of at least `low`, and of `auto`, which is None."""
    parse_whole = whole(low)

    def parse(text: str) -> int | None:
        if text == "auto":
            return None
        try:
            return parse_whole(text)
        except ValueError as error:
            raise ValueError(f"{error}, or auto") from None

    return parse


def choice(allowed: tuple[str, ...]) -> Callable[[str], str]:
    """Return a parser of one of `allowed`, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text.lower()

    return parse


def boolean(text: str) -> bool:
    """Parse `true` or `false`."""
    return choice(("true", "false"))(text) == "true"


def seconds(text: str) -> float:
    """Parse a positive number of seconds."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text) or float(text) <= 0:
        raise ValueError("must be a number of seconds greater than 0, at most 999999")
    return float(text)


def model(text: str) -> str:
    """Parse a model's name or Hub id."""
    if not MODEL_NAME.fullmatch(text.rstrip("/").rsplit("/", 1)[-1]):
        raise ValueError("must be the name of a built model, or a Hub id that ends in one (letters, digits, . _ -)")
    return text.rstrip("/")


def base_path(text: str) -> str:
    """Parse a path prefix, without its trailing slash."""
    segments = text.rstrip("/").split("/")
    if segments[0] or any(not re.fullmatch(r"(?!\.{1,2}$)[A-Za-z0-9._~-]+", segment) for segment in segments[1:]):
        raise ValueError("must be a path such as /embeddings-api: a slash, then letters, digits, . _ ~ -")
    return text.rstrip("/")


def aliases(text: str) -> tuple[str, ...]:
    """Parse model names separated by commas."""
    names = tuple(dict.fromkeys(_listed(text)))
    if any(not MODEL_ALIAS.fullmatch(alias) for alias in names) or len(names) > MOST_ALIASES:
        raise ValueError(f"must be at most {MOST_ALIASES} names of letters, digits, . _ - : @ /, separated by commas")
    return names


def host(text: str) -> str:
    """Parse an address or a host name."""
    if not re.fullmatch(r"[A-Za-z0-9_.:%-]+", text):
        raise ValueError("must be an address or a host name, without a port")
    return text


def keys(text: str) -> Secret:
    """Parse API keys separated by commas."""
    given = _listed(text)
    if any(not re.fullmatch(r"[\x21-\x7e]+", key) for key in given):
        raise ValueError("must be keys of printable ASCII without spaces, separated by commas, none empty")
    return Secret(given)


def origins(text: str) -> tuple[str, ...]:
    """Parse web origins separated by commas."""
    given = tuple(_listed(text))
    for origin in given:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s,]+", origin):
            raise ValueError("must be origins such as https://example.org separated by commas, or *")
    return given


def collector(text: str) -> Location:
    """Parse the address of a trace collector."""
    try:
        parts = urlsplit(text)
        known = not text or bool(re.fullmatch(r"https?://[^/\s]+(/\S*)?", text) and parts.hostname)
        _ = parts.port
    except ValueError:
        known = False
    if not known:
        raise ValueError("must be the address of a collector, such as http://collector:4318")
    return Location(text)


def _listed(text: str) -> list[str]:
    """Return what commas separate, without the spaces around; nothing for an empty text."""
    return [part.strip() for part in text.split(",")] if text else []
