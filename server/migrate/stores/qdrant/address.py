"""The syntax of Qdrant addresses."""

from server.migrate.stores.address import AddressForm

FORM = AddressForm(
    "qdrant",
    "qdrant:FOLDER#COLLECTION or qdrant+http://HOST:PORT#COLLECTION",
    {"qdrant": "", "qdrant+http": "http", "qdrant+https": "https"},
    key="QDRANT_API_KEY",
)
