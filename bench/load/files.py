"""How many files, and so connections, a process may open."""

import resource


def hard_limit() -> int:
    """The most that this process and its children can ask for."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def raise_limit() -> None:
    """Ask for the most."""
    hard = hard_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
