"""Errors of the build stage: each says what is wrong and what to do about it."""


class BuildError(Exception):
    """The build cannot go on; the models already in the folder are untouched."""
