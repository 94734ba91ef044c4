"""The syntax of Chroma addresses."""

from server.migrate.stores.address import AddressForm

FORM = AddressForm(
    "chroma",
    "chroma:FOLDER#COLLECTION or chroma+http://HOST:PORT#COLLECTION",
    {"chroma": "", "chroma+http": "http", "chroma+https": "https"},
    key="CHROMA_API_KEY",
)
