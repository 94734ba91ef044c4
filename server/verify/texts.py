"""The texts that two servers are compared on: sentences made of parts and one long text, or those of a file."""

from itertools import islice, product
from pathlib import Path

from server.verify.errors import VerifyError

SUBJECTS = (
    *("The baker", "My neighbour", "A tired nurse", "The committee", "Every student", "The old bridge", "Our server"),
    *("The glacier", "A small dog", "The vaccine", "That contract", "The choir", "The harbour", "An honest report"),
    *("The price of wheat", "Nobody in the village"),
)
ENDINGS = (
    *("was seen near the river at dawn.", "needs repair before winter.", "has doubled in ten years."),
    *("answers within 10 ms.", "cannot be trusted alone.", "sang about the sea.", "failed the last test!"),
    *("lies between two mountains.", "changed how we measure risk.", "is cheaper than it looks."),
    *("was sold for 1,250 euros.", "keeps a map of the stars.", "moves slower than the tide."),
    *("has never been to Köln.", "did it again, didn't it?", "waits for the morning train."),
)
LONGEST = 131_072


def made(count: int) -> list[str]:
    """Return `count` texts at most, the first of them long."""
    sentences = [f"{subject} {ending}" for ending, subject in product(ENDINGS, SUBJECTS)]
    return [" ".join(sentences), *sentences][:count]


def read(path: Path, count: int) -> list[str]:
    """Return the first `count` lines of a file that hold a text.

    Raises:
        VerifyError: there are none, or they are not UTF-8.
        OSError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:
            found = [line.strip()[:LONGEST] for line in islice((line for line in lines if line.strip()), count)]
    except UnicodeDecodeError:
        raise VerifyError(f"--texts {path} is not UTF-8") from None
    if not found:
        raise VerifyError(f"--texts {path} holds no texts; write one a line")
    return found
