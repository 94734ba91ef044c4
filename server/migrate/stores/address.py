"""Parses store addresses such as `chroma:FOLDER#COLLECTION` and `postgresql://USER:PASSWORD@HOST/DB#TABLE`. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from server.migrate.errors import MigrateError
from server.secret import Location, mask

# URL parsers disagree about these, so one might take part of a password for a host or a database.
UNCLEAR = {
    "a control character": re.compile(r"[\x00-\x1f\x7f]"),
    "a % that begins no escape (write %25)": re.compile(r"%(?![0-9A-Fa-f]{2})"),
    "an @ that does not end the user and password (write %40)": re.compile(r"@.*@|//[^/?#]*[/?#].*@", re.DOTALL),
    "a # that does not begin the name (write %23)": re.compile(r"#"),
}


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a collection, table or namespace of a store.

    `location` is the folder or URL that the client connects to, and may contain a password. `str()` gives the address
    without secrets, equal for equal addresses.
    """

    store: str
    location: Location
    collection: str
    remote: bool

    def __str__(self) -> str:
        place = self.location.reveal()
        place = _without_secrets(place) if self.remote else place
        return f"{self.store}:{place}#{self.collection}"


@dataclass(frozen=True, slots=True)
class AddressForm:
    """The syntax of one store's addresses.

    `schemes` maps what precedes the first `:` to the URL scheme for the store's client, empty for a folder. `key` names
    the environment variable for the API key, for a store whose address must not contain one. The part after `#` is
    optional if `unnamed`, the host if `hostless`; `object_stores` allows URLs of object stores as folders.
    """

    store: str
    written: str
    schemes: Mapping[str, str]
    key: str = ""
    unnamed: bool = False
    hostless: bool = False
    object_stores: bool = False

    def parse(self, text: str) -> Address:
        """Parse an address; the part after the last `#` is percent-decoded.

        Raises:
            MigrateError: it is not an address of this store, or contains a key, which must be in the environment; the
                message shows no secret.
        """
        scheme, _, rest = text.partition(":")
        place, _, collection = rest.rpartition("#")
        protocol = self.schemes.get(scheme.lower())
        if protocol is None or not place.strip("/") or not (collection or self.unnamed):
            raise MigrateError(f"the address of {self.store} is incomplete; write {self.written}")
        if not protocol:
            return Address(self.store, Location(self._folder(place)), unquote(collection), remote=False)
        if "@" in collection:
            raise MigrateError(f"the address of {self.store} holds an @ in its last part; write %40 for it")
        return Address(self.store, Location(self._url(f"{protocol}:{place}")), unquote(collection), remote=True)

    def _folder(self, place: str) -> str:
        if "://" not in place:
            return str(Path(place).expanduser().resolve())
        if not self.object_stores:
            raise MigrateError(f"the address of {self.store} names no folder; write {self.written}")
        if mask(place) != place:
            raise self._key_within()
        return place

    def _url(self, url: str) -> str:
        unclear = [what for what, pattern in UNCLEAR.items() if pattern.search(url)]
        if unclear:
            raise MigrateError(f"the address of {self.store} holds {unclear[0]}; percent-encode it")
        try:
            parts = urlsplit(url)
            known = parts.hostname or self.hostless
            _ = parts.port
        except ValueError:
            known = False
        if not known or not url.partition(":")[2].startswith("//"):
            raise MigrateError(f"the address of {self.store} is not a URL; write {self.written}")
        if self.key and ("@" in parts.netloc or parts.query):
            raise self._key_within()
        return url

    def _key_within(self) -> MigrateError:
        return MigrateError(f"the address of {self.store} may not hold a key; set {self.key} in the environment")


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    host = parts.hostname or asked.get("host", [""])[0]
    port = parts.port or asked.get("port", [""])[0]
    path = parts.path.rstrip("/") or "".join(f"/{name}" for name in asked.get("dbname", []))
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"
