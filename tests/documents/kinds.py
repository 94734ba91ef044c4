"""Maps the documents' commands to the tests that run them, by the first matching pattern."""

import re

from tests.documents.pages import Command, commands

KINDS = {
    # tests/documents
    "gpu": r"\.venv/bin/pip (uninstall|install --no-deps)|make serve DEVICE=cuda|bench/gpu\.sh",
    "serve": r"(OTEL\w+=\S+ )?make (demo|serve)\b",
    "ask": r"curl |make smoke\b",
    "check": r"make (check|unit|test|test-one|coverage|lint|format|reliability)\b",
    "load": r"make load\b",
    "plan": r"\.venv/bin/python -m bench capacity ",
    "install": r"make \.venv-\w+/ready|source \.venv-\w+/bin/activate|(\.venv/bin/)?pip install -r ",
    "wheels": r"make wheels\b",
    "verify": r"make verify\b",
    "choose": r"make choose\b",
    "compose": r"make (up|down)\b|docker compose ",
    "cluster": r"kubectl ",
    # tests/contract
    "lock": r"make lock-images\b",
    # tests/build
    "build": r"make build-models\b",
    "inspect": r"make inspect\b",
    # tests/migrate/stores
    "migrate": r"make migrate\b|python -m server\.migrate |export PINECONE_API_KEY=",
}


def kind(command: Command) -> str:
    """Return the kind of a command, or an empty string if no test runs it."""
    return next((name for name, pattern in KINDS.items() if re.match(pattern, command.text)), "")


def of_kind(name: str, page: str = "") -> list[Command]:
    """Return all commands of a kind, or those of one page."""
    matching = [command for command in commands() if kind(command) == name]
    return [command for command in matching if not page or command.block.page == page]
