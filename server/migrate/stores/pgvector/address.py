"""The syntax of PostgreSQL (pgvector) addresses."""

from server.migrate.stores.address import AddressForm

FORM = AddressForm(
    "pgvector",
    "postgresql://USER@HOST:PORT/DATABASE#TABLE",
    {"postgres": "postgresql", "postgresql": "postgresql"},
    hostless=True,
)
