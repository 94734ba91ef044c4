"""Where a store lies: `chroma:FOLDER#COLLECTION`, `postgresql://USER:PASSWORD@HOST/DB#TABLE` and the like. Pure."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from server.migrate.errors import MigrateError

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
KEYS = {"chroma": "CHROMA_API_KEY", "pinecone": "PINECONE_API_KEY", "qdrant": "QDRANT_API_KEY"}


@dataclass(frozen=True, slots=True)
class Address:
    """A collection, table or namespace of a store.

    `location` is the folder or URL that the client connects to. It may hold a password, so it is never shown:
    `str()` gives the address without secrets, the same for the same place.
    """

    store: str
    location: str = field(repr=False)
    collection: str
    remote: bool

    def __str__(self) -> str:
        place = _without_secrets(self.location) if self.remote else self.location
        return f"{self.store}:{place}#{self.collection}"


def is_address(text: str) -> bool:
    """Tell an address of a store from the name of a file."""
    return text.partition(":")[0].lower() in SCHEMES and ":" in text


def parse(text: str) -> Address:
    """Read an address; what follows the last `#` is percent-decoded.

    Raises:
        MigrateError: it is not one, or holds a key that belongs into the environment; the message shows no secret.
    """
    scheme, _, rest = text.partition(":")
    if scheme.lower() not in SCHEMES:
        raise MigrateError(f"{scheme}: is no store's address; write one of: {'; '.join(FORMS.values())}")
    store, protocol = SCHEMES[scheme.lower()]
    place, _, collection = rest.rpartition("#")
    if not place.strip("/") or not (collection or store == "pinecone"):
        raise MigrateError(f"the address of {store} is incomplete; write {FORMS[store]}")
    if not protocol:
        return Address(store, _folder(place), unquote(collection), remote=False)
    return Address(store, _url(store, f"{protocol}:{place}"), unquote(collection), remote=True)


def _folder(place: str) -> str:
    # LanceDB reads object stores too: `lancedb:s3://bucket/folder#table`.
    return place if "://" in place else str(Path(place).expanduser().resolve())


def _url(store: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        known = parts.hostname or store == "pgvector"
        _ = parts.port
    except ValueError:
        known = False
    if not known or not url.partition(":")[2].startswith("//"):
        raise MigrateError(f"the address of {store} is not a URL; write {FORMS[store]}")
    if store in KEYS and ("@" in parts.netloc or parts.query):
        raise MigrateError(f"the address of {store} may not hold a key; set {KEYS[store]} in the environment")
    return url


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    host = parts.hostname or asked.get("host", [""])[0]
    port = parts.port or asked.get("port", [""])[0]
    path = parts.path.rstrip("/") or "".join(f"/{name}" for name in asked.get("dbname", []))
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"
