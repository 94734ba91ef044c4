"""Secrets, and addresses that may hold one: shown masked only, and taken out of whatever text a library made of them.

`remember` keeps every secret that the process was told of; `scrub` takes them out of a text before it is shown. That
is for texts of others (exceptions, warnings). Texts of our own show an address through `Location`, which needs to know
no secret to leave it out.
"""

import argparse
import json
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import unquote

MASK = "***"
# A secret shorter than this is taken out where it stands as a word only: within words it says nothing.
WORD = 8
# A shorter value of the environment is rather a switch than a secret, and so is a shorter piece of a secret.
SHORTEST = 4
SECRET_NAME = re.compile(r"pass|pwd|pw\b|secret|token|key|sig|cred|auth|session", re.IGNORECASE)
SECRET_VARIABLE = re.compile(r"(?:KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)$", re.IGNORECASE)
# Of OpenTelemetry: `name=value` pairs, separated by commas.
HEADERS_VARIABLE = re.compile(r"OTEL_\w*_HEADERS")
SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]*):(//)?", re.IGNORECASE)
PARAMETER = re.compile(r"(?:^|[?&;\s])([^=&?;\s/]+)\s*=\s*")
BACKSLASHES = re.compile(r"\\+")
DELIMITERS = re.compile(r"[@/?#&=:;\[\]\s'\"]+")


class Secret:
    """Secret strings that no log, repr or traceback shows."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = tuple(values)
        remember(*self._values)

    def reveal(self) -> tuple[str, ...]:
        """Hand out the secrets themselves, for comparing only."""
        return self._values

    def __bool__(self) -> bool:
        return bool(self._values)

    def __repr__(self) -> str:
        return f"{MASK} ({len(self._values)} set)" if self._values else "(none)"


class Location:
    """A path or an address as it was given, which shows itself without the secrets in it."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text
        remember(*secrets_in(text))

    def reveal(self) -> str:
        """Hand out the text itself, for what opens it only."""
        return self._text

    def holds_secret(self) -> bool:
        """Tell whether something in it may be a secret."""
        return bool(secrets_in(self._text))

    def __str__(self) -> str:
        return mask(self._text)

    def __repr__(self) -> str:
        return f"Location({str(self)!r})"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Location) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[type["Location"], tuple[str]]:
        # Made anew where it arrives, so that the secrets are known there too.
        return Location, (self._text,)


class MaskingParser(argparse.ArgumentParser):
    """A parser of the command line that quotes no secret when it complains."""

    def error(self, message: str) -> NoReturn:
        """Print usage and `message`, and end the process with status 2."""
        super().error(scrub(message))


class _Known:
    """The secrets that this process was told of, as one expression that finds each of them in any of its forms."""

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.pattern: re.Pattern[str] | None = None

    def add(self, values: Iterable[str]) -> None:
        fresh = {value for value in values if value.strip()} - self.values
        if not fresh:
            return
        self.values |= fresh
        # The longest first: another secret may begin in the same way.
        readings = sorted({one for value in self.values for one in _readings(value)}, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(_expression, readings)), re.IGNORECASE)


_known = _Known()


def remember(*values: str) -> None:
    """Keep `values` out of every text that `scrub` sees from now on."""
    _known.add(values)


def forget() -> None:
    """Know no secret any more, as between two tests."""
    _known.values, _known.pattern = set(), None


def remember_given(environ: Mapping[str, str], arguments: Sequence[str] | None = None) -> None:
    """Remember what is secret in the environment, by the variables' names, and on the command line (`sys.argv`)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    found = {value for name, text in environ.items() for value in _secrets_of(name, text) if len(value) >= SHORTEST}
    for before, argument in zip(["", *arguments], arguments, strict=False):
        flag, _, value = argument.partition("=")
        found |= secrets_in(argument) | secrets_in(value)
        if before.startswith("-") and SECRET_NAME.search(before):
            found.add(argument)
        elif flag.startswith("-") and SECRET_NAME.search(flag):
            found.add(value)
    remember(*found)


def scrub(text: str) -> str:
    """Return `text` without any secret that is known, in whichever form it stands there."""
    pattern = _known.pattern
    return pattern.sub(MASK, text) if pattern else text


def scrubbed(value: Any) -> Any:  # noqa: ANN401 - any value of JSON
    """Return a value of JSON whose texts hold no known secret; names and numbers stay."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {name: scrubbed(one) for name, one in value.items()}
    return [scrubbed(one) for one in value] if isinstance(value, list | tuple) else value


def mask(text: str) -> str:
    """Return an address without what may be secret in it: up to its last `@`, and from its first secret parameter on.

    Nothing is parsed, so an address that no parser accepts shows no more than another; a path without `SCHEME:` is
    returned as it is.
    """
    head = SCHEME.match(text)
    names = (found for found in PARAMETER.finditer(text) if SECRET_NAME.search(unquote(found[1])))
    end = next((found.end() for found in names), len(text))
    shown, rest = text[:end], text[end:]
    if head and _user(text, head):
        shown = head[0] + MASK + (f"@{shown.rpartition('@')[2]}" if "@" in shown else "")
    return shown + MASK if rest else shown


def secrets_in(text: str) -> set[str]:
    """Find what may be secret in an address: rather too much than too little, where it is malformed."""
    found: set[str] = set()
    head = SCHEME.match(text)
    user = _user(text, head) if head else ""
    name, colon, password = user.partition(":")
    known = head is not None and head[1].lower().startswith("postgres")
    secret = password if colon or known else name
    if secret:
        found |= {secret, b64encode(unquote(user).encode(errors="surrogatepass")).decode()} | _pieces(secret)
    if secret and not known and len(name) >= WORD:
        # The first half of a key, or a name that is long for one.
        found.add(name)
    for parameter in PARAMETER.finditer(text):
        if SECRET_NAME.search(unquote(parameter[1])):
            found |= _values(text[parameter.end() :])
            # Where both readings find something, each may cut the other's secret in two.
            found |= {text[head.end() :]} if head and user else set()
    return {secret for secret in found if secret.strip()}


def _user(text: str, head: re.Match[str]) -> str:
    """Return all from the scheme to the last `@`; empty for a folder, such as `qdrant:/data/a@b`."""
    before, at, _ = text[head.end() :].rpartition("@")
    return before if at and (head[2] or ":" in before) else ""


def _values(rest: str) -> set[str]:
    """Return what the value may be that `rest` begins with, and what of it a parser may take for something else."""
    ends = [rest, rest.partition("&")[0], rest.rpartition("#")[0], re.split(r"[&\s]", rest, maxsplit=1)[0]]
    parts = [part for part in re.split(r"[&\s]", rest)[1:] if "=" not in part]
    return {end.strip("'\" ") for end in ends} | _pieces(ends[1]) | {part for part in parts if len(part) >= SHORTEST}


def _pieces(secret: str) -> set[str]:
    return {piece for piece in DELIMITERS.split(secret) if len(piece) >= SHORTEST}


def _secrets_of(name: str, value: str) -> Iterator[str]:
    if "://" in value:
        yield from secrets_in(value)
    elif HEADERS_VARIABLE.fullmatch(name):
        for pair in value.split(","):
            header = unquote(pair.partition("=")[2]).strip()
            yield from (header, header.rpartition(" ")[2])
    elif SECRET_VARIABLE.search(name) and not value.startswith("/"):
        yield from (value, *value.split(","))


def _readings(value: str) -> set[str]:
    """Return `value`, its percent-decoded reading, and the lines of both."""
    found = {value, unquote(value)}
    found |= {line for one in found for line in one.splitlines() if len(line) >= SHORTEST}
    return {one for one in found if one.strip()}


def _expression(value: str) -> str:
    """Return what finds a value as it is and as URLs, JSON and Python write it, once or several times over."""
    found = "".join(map(_character, BACKSLASHES.sub(r"\\", value)))
    if len(value) >= WORD:
        return found
    before = r"(?<!\w)" if value[0].isalnum() else ""
    return before + found + (r"(?!\w)" if value[-1].isalnum() else "")


def _character(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    octets = "".join(f"%(?:25)*{octet:02x}" for octet in character.encode(errors="surrogatepass"))
    if character == "\\":
        return rf"(?:{octets}|\\){{1,16}}"
    escapes = {re.escape(form[1:-1]).replace(r"\\", r"\\{1,16}") for form in (json.dumps(character), repr(character))}
    space = [r"\+"] if character == " " else []
    return f"(?:{'|'.join([octets, *sorted(escapes), *space])}|" + r"\\{0,16}" + f"{re.escape(character)})"
