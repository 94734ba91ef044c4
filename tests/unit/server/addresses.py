"""Valid and malformed addresses with a secret, for tests that it does not leak."""

from hypothesis import strategies

# Both halves are checked: a parser that splits the secret must not leak either.
HEAD, TAIL = "S3cr3tHead", "T4ilOfIt"
BREAKS = [
    "",
    "%zz",
    "%",
    "%40",
    "%2F",
    "@",
    "/",
    "?",
    "#",
    ":",
    "&",
    "=",
    "[",
    "]",
    " ",
    "'",
    '"',
    "\\",
    "\n",
    "\t",
    "é",
    "☃",
]

secrets = strategies.lists(strategies.sampled_from(BREAKS), max_size=4).map(lambda parts: HEAD + "".join(parts) + TAIL)

TEMPLATES = (
    "postgresql://me:{}@127.0.0.1:1/app#docs",
    "postgres://me:{}@127.0.0.1:1/app#docs",
    "POSTGRESQL://me:{}@127.0.0.1:1/app#docs",
    "postgresql://me:{}@127.0.0.1:1/app",
    "postgresql:me:{}@127.0.0.1/app#docs",
    "postgresql://127.0.0.1:1/app?password={}#docs",
    "postgresql://127.0.0.1:1/app?user=me&sslpassword={}&sslmode=disable#docs",
    "postgresql://?host=/nowhere&pass%77ord={}&dbname=app#docs",
    "host=127.0.0.1 password={} dbname=app",
    "host=127.0.0.1 password = '{}' dbname=app",
    "lancedb:s3://{}:key@bucket/folder#docs",
    "lancedb:s3://KEY:{}@bucket/folder#docs",
    "lancedb:s3://bucket/folder?secret_access_key={}#docs",
    "lancedb:az://account/container?sig={}#docs",
    "chroma:http://user:{}@127.0.0.1:1#docs",
    "chroma+http://user:{}@127.0.0.1:1#docs",
    "qdrant:https://{}@127.0.0.1#docs",
    "qdrant+https://user:{}@127.0.0.1:1#docs",
    "qdrant+https://127.0.0.1:1?api_key={}#docs",
    "pinecone://{}@index.svc.pinecone.io#team",
    "pinecone://index.svc.pinecone.io?api_key={}#team",
    "s3://KEY:{}@bucket/vectors.parquet",
    "s3://bucket/vectors.parquet?access_key={}",
    "mysql://me:{}@127.0.0.1/app#docs",
)
addresses = strategies.builds(str.format, strategies.sampled_from(TEMPLATES), secrets)


def leaks(text: str) -> list[str]:
    """Return the halves of the secret that a text contains."""
    return [half for half in (HEAD, TAIL) if half.lower() in text.lower()]
