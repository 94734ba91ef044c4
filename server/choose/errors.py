"""The error that leaves a choice open."""


class ChooseError(Exception):
    """Nothing can be chosen; the message says why and what to do."""
