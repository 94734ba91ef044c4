"""`python -m server.smoke URL`: request embeddings from a running server and check that they are plausible.

Uses only the standard library and numpy, so it runs wherever the server does. API_KEY is read from the environment.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 60

# (anchor, a paraphrase, an unrelated text that shares words with the anchor)
TRIPLES = (
    ("The baker pulls fresh loaves from the oven.", "Warm bread comes out of the stove.", "The oven door is broken."),
    ("She missed the last train home.", "Her final ride back had already left.", "The train museum opens at nine."),
    ("Rain is expected over the coast tonight.", "It will be wet by the sea later.", "The coast guard hired a cook."),
    ("The bridge was closed for repairs.", "Maintenance blocked the river crossing.", "They played bridge all night."),
    ("The cat sleeps on the warm window sill.", "A kitten naps in a sunny spot.", "The window frame needs new paint."),
    ("Prices rose faster than wages.", "Pay did not keep up with inflation.", "This year the choir rose to fame."),
    ("He repaired his bicycle for the tour.", "The bike was mended before the trip.", "He wrote a novel on a tour."),
    ("The vaccine protects children.", "Kids are shielded from the disease.", "Children painted the school wall."),
    ("Our server answers in ten milliseconds.", "The machine replies very quickly.", "Our waiter carried ten plates."),
    ("The glacier has shrunk by a third.", "A large part of the ice has melted.", "A third of the guests left early."),
)
QUERY = "How do bees find their way back to the hive?"
PASSAGES = (
    "Honeybees navigate by the position of the sun and remember landmarks around their colony.",
    "The price of honey depends on the flowers, the weather and the region.",
    "Concrete reaches most of its strength in the first four weeks.",
)

Vectors = NDArray[np.float64]


class SmokeError(Exception):
    """The server is unreachable, or did not answer with vectors."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The vectors and headers of a response, and its duration in seconds."""

    vectors: Vectors
    headers: Mapping[str, str]
    seconds: float


def main(arguments: list[str]) -> int:
    """Check the server at a URL; return 0 if all checks pass."""
    url = (arguments[0] if arguments else DEFAULT_URL).rstrip("/")
    try:
        failures = list(_report(url))
    except SmokeError as error:
        print(f"smoke: {error}")
        return 1
    for failure in failures:
        print(f"FAILED: {failure}")
    print("smoke: failed" if failures else "smoke: all good")
    return 1 if failures else 0


def check_unit(vectors: Vectors) -> Iterator[str]:
    """Yield a failure unless all vectors are finite and of unit length."""
    norms = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(norms).all() or (abs(norms - 1) > 1e-3).any():
        yield f"vectors are not of unit length: norms from {norms.min():.4f} to {norms.max():.4f}"


def check_triples(vectors: Vectors) -> Iterator[str]:
    """Yield a failure per triple whose paraphrase does not rank above its unrelated text; rows are flat triples."""
    anchors, near, far = vectors[0::3], vectors[1::3], vectors[2::3]
    related, unrelated = (anchors * near).sum(1), (anchors * far).sum(1)
    print(f"related pairs    {related.mean():.3f} on average, lowest {related.min():.3f}")
    print(f"unrelated pairs  {unrelated.mean():.3f} on average, highest {unrelated.max():.3f}")
    for (anchor, *_), high, low in zip(TRIPLES, related, unrelated, strict=True):
        if high <= low:
            yield f"{anchor!r}: related text at {high:.3f}, unrelated at {low:.3f}"


def check_search(query: Vectors, passages: Vectors) -> Iterator[str]:
    """Yield a failure unless the first passage ranks strictly first for the query."""
    scores = passages @ query[0]
    print(f"query            {', '.join(f'{score:.3f}' for score in scores)} for its answer and two other passages")
    if scores[0] <= scores[1:].max():
        yield f"{QUERY!r} does not rank the passage that answers it first"


def _report(url: str) -> Iterator[str]:
    texts = _embed(url, {"texts": [text for triple in TRIPLES for text in triple]})
    passages = _embed(url, {"texts": list(PASSAGES), "input_type": "document"})
    query = _embed(url, {"texts": [QUERY], "input_type": "query"})
    print(f"dimension        {texts.vectors.shape[1]}")
    everything = np.concatenate([texts.vectors, passages.vectors, query.vectors])
    norms = np.linalg.norm(everything, axis=1)
    print(f"norms            {norms.min():.6f} to {norms.max():.6f}")
    yield from check_unit(everything)
    yield from check_triples(texts.vectors)
    yield from check_search(query.vectors, passages.vectors)
    for name, reply in (("30 sentences", texts), ("one query", query)):
        tokens, inference = (reply.headers.get(key, "?") for key in ("x-compute-tokens", "x-inference-time"))
        print(f"{name:16} {tokens} tokens in {1000 * reply.seconds:.0f} ms, of which inference {inference} ms")


def _embed(url: str, body: Mapping[str, object]) -> Reply:
    if "@" in url:
        raise SmokeError("the address holds a user or a password; give it without, and the key in API_KEY")
    if not url.startswith(("http://", "https://")):
        raise SmokeError(f"{url} is not the address of a server; give one such as {DEFAULT_URL}")
    request = urllib.request.Request(f"{url}/embed", json.dumps(body).encode(), _headers())  # noqa: S310 - checked
    started = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - checked
            payload, headers = response.read(), response.headers
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(500).decode(errors="replace")
        raise SmokeError(f"{url}/embed answered {error.code}: {said}") from None
    except OSError as error:
        raise SmokeError(f"no server answers at {url}: {getattr(error, 'reason', error)}") from None
    try:
        vectors = np.array(json.loads(payload)["embeddings"], np.float64)
    except (ValueError, LookupError, TypeError):
        raise SmokeError(f"{url}/embed did not answer with embeddings") from None
    return Reply(vectors, headers, time.perf_counter() - started)


def _headers() -> dict[str, str]:
    key = os.environ.get("API_KEY", "").split(",")[0].strip()
    return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
