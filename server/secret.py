"""Masks secrets in addresses and in any text that is shown.

`remember` collects every secret given to the process, and `scrub` masks them in texts that libraries produce
(exceptions, warnings). Our own messages show an address as a `Location`, which masks what may be secret by its syntax.
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
# A secret shorter than this is masked only as a whole word: inside words a match is most likely a coincidence.
WORD = 8
# Shorter values in the environment are more likely switches than secrets; shorter pieces of a secret are ignored too.
SHORTEST = 4
SECRET_NAME = re.compile(r"pass|pwd|pw\b|secret|token|key|sig|cred|auth|session", re.IGNORECASE)
SECRET_VARIABLE = re.compile(r"(?:KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)$", re.IGNORECASE)
# OpenTelemetry's variables with `name=value` pairs, separated by commas.
HEADERS_VARIABLE = re.compile(r"OTEL_\w*_HEADERS")
SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]*):(//)?", re.IGNORECASE)
PARAMETER = re.compile(r"(?:^|[?&;\s])([^=&?;\s/]+)\s*=\s*")
BACKSLASHES = re.compile(r"\\+")
DELIMITERS = re.compile(r"[@/?#&=:;\[\]\s'\"]+")


class Secret:
    """Secret strings that do not appear in logs, reprs or tracebacks."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = tuple(values)
        remember(*self._values)

    def reveal(self) -> tuple[str, ...]:
        """Return the secrets themselves; use them only for comparison."""
        return self._values

    def __bool__(self) -> bool:
        return bool(self._values)

    def __repr__(self) -> str:
        return f"{MASK} ({len(self._values)} set)" if self._values else "(none)"


class Location:
    """A path or an address as given by the user, whose string form masks the secrets in it."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text
        remember(*secrets_in(text))

    def reveal(self) -> str:
        """Return the text itself; use it only to open the location."""
        return self._text

    def holds_secret(self) -> bool:
        """Return whether the text may contain a secret."""
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
        # Unpickling calls the constructor, so that the receiving process remembers the secrets too.
        return Location, (self._text,)


class MaskingParser(argparse.ArgumentParser):
    """An argument parser whose error messages mask secrets."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and `message`, and end the process with status 2."""
        super().error(scrub(message))


class _Known:
    """The secrets known to this process, with one regular expression that matches all of them in any encoding."""

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.pattern: re.Pattern[str] | None = None

    def add(self, values: Iterable[str]) -> None:
        fresh = {value for value in values if value.strip()} - self.values
        if not fresh:
            return
        self.values |= fresh
        # Longest first: one secret may be a prefix of another.
        readings = sorted({one for value in self.values for one in _readings(value)}, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(_expression, readings)), re.IGNORECASE)


_known = _Known()


def remember(*values: str) -> None:
    """Add `values` to the secrets that `scrub` masks."""
    _known.add(values)


def forget() -> None:
    """Forget all secrets, for tests."""
    _known.values, _known.pattern = set(), None


def remember_given(environ: Mapping[str, str], arguments: Sequence[str] | None = None) -> None:
    """Remember the secrets in environment variables, detected by name, and on the command line (`sys.argv`)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    secrets = {value for name, text in environ.items() for value in _secrets_of(name, text) if len(value) >= SHORTEST}
    for before, argument in zip(["", *arguments], arguments, strict=False):
        flag, _, value = argument.partition("=")
        secrets |= secrets_in(argument) | secrets_in(value)
        if before.startswith("-") and SECRET_NAME.search(before):
            secrets.add(argument)
        elif flag.startswith("-") and SECRET_NAME.search(flag):
            secrets.add(value)
    remember(*secrets)


def scrub(text: str) -> str:
    """Return `text` with all known secrets masked, in any encoding."""
    pattern = _known.pattern
    return pattern.sub(MASK, text) if pattern else text


def scrubbed(value: Any) -> Any:  # noqa: ANN401 - any value of JSON
    """Return a JSON value with known secrets masked in all its strings; keys and numbers stay."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {name: scrubbed(one) for name, one in value.items()}
    return [scrubbed(one) for one in value] if isinstance(value, list | tuple) else value


def mask(text: str) -> str:
    """Mask what may be secret in an address: everything up to its last `@`, and from its first secret parameter on.

    This does not parse the address, so a malformed one shows no more than a valid one. A path without `SCHEME:` is
    returned unchanged.
    """
    head = SCHEME.match(text)
    names = (parameter for parameter in PARAMETER.finditer(text) if SECRET_NAME.search(unquote(parameter[1])))
    end = next((parameter.end() for parameter in names), len(text))
    shown, rest = text[:end], text[end:]
    if head and _user(text, head):
        shown = head[0] + MASK + (f"@{shown.rpartition('@')[2]}" if "@" in shown else "")
    return shown + MASK if rest else shown


def secrets_in(text: str) -> set[str]:
    """Return what may be secret in an address; for a malformed address, rather too much than too little."""
    secrets: set[str] = set()
    head = SCHEME.match(text)
    user = _user(text, head) if head else ""
    name, colon, password = user.partition(":")
    known = head is not None and head[1].lower().startswith("postgres")
    secret = password if colon or known else name
    if secret:
        secrets |= {secret, b64encode(unquote(user).encode(errors="surrogatepass")).decode()} | _pieces(secret)
    if secret and not known and len(name) >= WORD:
        # A user name this long may be the first half of a key.
        secrets.add(name)
    for parameter in PARAMETER.finditer(text):
        if SECRET_NAME.search(unquote(parameter[1])):
            secrets |= _values(text[parameter.end() :])
            # With both a user and a secret parameter, either reading may split the other's secret.
            secrets |= {text[head.end() :]} if head and user else set()
    return {secret for secret in secrets if secret.strip()}


def _user(text: str, head: re.Match[str]) -> str:
    """Return the text from the scheme to the last `@`; empty for a folder, such as `qdrant:/data/a@b`."""
    before, at, _ = text[head.end() :].rpartition("@")
    return before if at and (head[2] or ":" in before) else ""


def _values(rest: str) -> set[str]:
    """Return the possible values at the beginning of `rest`, since parsers disagree where a value ends."""
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
    """Return `value`, its percent-decoded form, and the lines of both."""
    forms = {value, unquote(value)}
    forms |= {line for one in forms for line in one.splitlines() if len(line) >= SHORTEST}
    return {one for one in forms if one.strip()}


def _expression(value: str) -> str:
    """Return a pattern for a value as it is, and escaped once or repeatedly for URLs, JSON or Python."""
    pattern = "".join(map(_character, BACKSLASHES.sub(r"\\", value)))
    if len(value) >= WORD:
        return pattern
    before = r"(?<!\w)" if value[0].isalnum() else ""
    return before + pattern + (r"(?!\w)" if value[-1].isalnum() else "")


def _character(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    octets = "".join(f"%(?:25)*{octet:02x}" for octet in character.encode(errors="surrogatepass"))
    if character == "\\":
        return rf"(?:{octets}|\\){{1,16}}"
    escapes = {re.escape(form[1:-1]).replace(r"\\", r"\\{1,16}") for form in (json.dumps(character), repr(character))}
    space = [r"\+"] if character == " " else []
    return f"(?:{'|'.join([octets, *sorted(escapes), *space])}|" + r"\\{0,16}" + f"{re.escape(character)})"
