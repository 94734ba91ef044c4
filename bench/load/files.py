"""The limit on open files, and thus connections, per process."""

import resource


def hard_limit() -> int:
    """Return the hard limit."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def raise_limit() -> None:
    """Raise the soft limit to the hard limit."""
    hard = hard_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
