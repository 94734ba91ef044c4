"""Where a store lies: `chroma:FOLDER#COLLECTION`, `postgresql://USER:PASSWORD@HOST/DB#TABLE` and the like. Pure."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from server.migrate.errors import MigrateError
from server.secret import Location, mask

# How each store is written, for messages.
FORMS = {
    "chroma": "chroma:FOLDER#COLLECTION or chroma+http://HOST:PORT#COLLECTION",
    "lancedb": "lancedb:FOLDER#TABLE",
    "pgvector": "postgresql://USER@HOST:PORT/DATABASE#TABLE",
    "pinecone": "pinecone://INDEX-HOST#NAMESPACE",
    "qdrant": "qdrant:FOLDER#COLLECTION or qdrant+http://HOST:PORT#COLLECTION",
}
# What comes before the first `:`, and how a client wants to hear it; an empty protocol means a folder.
SCHEMES = {
    "chroma": ("chroma", ""),
    "chroma+http": ("chroma", "http"),
    "chroma+https": ("chroma", "https"),
    "lancedb": ("lancedb", ""),
    "pinecone": ("pinecone", "https"),
    "pinecone+http": ("pinecone", "http"),
    "postgres": ("pgvector", "postgresql"),
    "postgresql": ("pgvector", "postgresql"),
    "qdrant": ("qdrant", ""),
    "qdrant+http": ("qdrant", "http"),
    "qdrant+https": ("qdrant", "https"),
}
# The variable that holds the key of a store whose address may not hold one.
KEYS = {
    "chroma": "CHROMA_API_KEY",
    "lancedb": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what its object store reads,",
    "pinecone": "PINECONE_API_KEY",
    "qdrant": "QDRANT_API_KEY",
}
# What parsers of URLs read differently, so that one takes for a host or a database what was meant as a password.
UNCLEAR = {
    "a control character": re.compile(r"[\x00-\x1f\x7f]"),
    "a % that begins no escape (write %25)": re.compile(r"%(?![0-9A-Fa-f]{2})"),
    "an @ that does not end the user and password (write %40)": re.compile(r"@.*@|//[^/?#]*[/?#].*@", re.DOTALL),
    "a # that does not begin the name (write %23)": re.compile(r"#"),
}


@dataclass(frozen=True, slots=True)
class Address:
    """A collection, table or namespace of a store.

    `location` is the folder or URL that the client connects to, and may hold a password. `str()` gives the address
    without secrets, the same for the same place.
    """

    store: str
    location: Location
    collection: str
    remote: bool

    def __str__(self) -> str:
        place = self.location.reveal()
        place = _without_secrets(place) if self.remote else place
        return f"{self.store}:{place}#{self.collection}"


def is_address(text: str) -> bool:
    """Tell an address of a store from the name of a file."""
    return text.partition(":")[0].lower() in SCHEMES and ":" in text


def store_of(text: str) -> str:
    """Tell the store that an address is of."""
    return SCHEMES[text.partition(":")[0].lower()][0]


def parse(text: str) -> Address:
    """Read an address; what follows the last `#` is percent-decoded.

    Raises:
        MigrateError: it is not one, or holds a key that belongs into the environment; the message shows no secret.
    """
    scheme, _, rest = text.partition(":")
    if scheme.lower() not in SCHEMES:
        raise MigrateError(f"{mask(text)} is no store's address; write one of: {'; '.join(FORMS.values())}")
    store, protocol = SCHEMES[scheme.lower()]
    place, _, collection = rest.rpartition("#")
    if not place.strip("/") or not (collection or store == "pinecone"):
        raise MigrateError(f"the address of {store} is incomplete; write {FORMS[store]}")
    if not protocol:
        return Address(store, Location(_folder(store, place)), unquote(collection), remote=False)
    if "@" in collection:
        raise MigrateError(f"the address of {store} holds an @ in its last part; write %40 for it")
    return Address(store, Location(_url(store, f"{protocol}:{place}")), unquote(collection), remote=True)


def _folder(store: str, place: str) -> str:
    if "://" not in place:
        return str(Path(place).expanduser().resolve())
    if store != "lancedb":
        raise MigrateError(f"the address of {store} names no folder; write {FORMS[store]}")
    # LanceDB reads object stores too: `lancedb:s3://bucket/folder#table`.
    if mask(place) != place:
        raise _key_in(store)
    return place


def _url(store: str, url: str) -> str:
    _check_clear(store, url)
    try:
        parts = urlsplit(url)
        known = parts.hostname or store == "pgvector"
        _ = parts.port
    except ValueError:
        known = False
    if not known or not url.partition(":")[2].startswith("//"):
        raise MigrateError(f"the address of {store} is not a URL; write {FORMS[store]}")
    if store in KEYS and ("@" in parts.netloc or parts.query):
        raise _key_in(store)
    return url


def _check_clear(store: str, url: str) -> None:
    unclear = [what for what, pattern in UNCLEAR.items() if pattern.search(url)]
    if unclear:
        raise MigrateError(f"the address of {store} holds {unclear[0]}; percent-encode it")


def _key_in(store: str) -> MigrateError:
    return MigrateError(f"the address of {store} may not hold a key; set {KEYS[store]} in the environment")


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    host = parts.hostname or asked.get("host", [""])[0]
    port = parts.port or asked.get("port", [""])[0]
    path = parts.path.rstrip("/") or "".join(f"/{name}" for name in asked.get("dbname", []))
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"
