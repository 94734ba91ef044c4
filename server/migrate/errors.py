"""The error that stops a migration; its message says what to do and that nothing is lost."""


class MigrateError(Exception):
    """The migration cannot start or continue; the progress in the journal is kept."""
