"""Why a migration stops: every message says what to do, and that nothing is lost."""


class MigrateError(Exception):
    """The migration cannot start or go on; what the journal has on record is kept."""
