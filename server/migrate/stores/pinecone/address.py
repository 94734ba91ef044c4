"""The syntax of Pinecone addresses."""

from server.migrate.stores.address import AddressForm

FORM = AddressForm(
    "pinecone",
    "pinecone://INDEX-HOST#NAMESPACE",
    {"pinecone": "https", "pinecone+http": "http"},
    key="PINECONE_API_KEY",
    unnamed=True,
)
