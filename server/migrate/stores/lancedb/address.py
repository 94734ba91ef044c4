"""The syntax of LanceDB addresses."""

from server.migrate.stores.address import AddressForm

FORM = AddressForm(
    "lancedb",
    "lancedb:FOLDER#TABLE",
    {"lancedb": ""},
    # LanceDB reads object stores too: `lancedb:s3://bucket/folder#table`.
    key="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what its object store reads,",
    object_stores=True,
)
