"""The error that leaves a question open."""


class VerifyError(Exception):
    """Nothing can be said of the vectors; the message says why."""
