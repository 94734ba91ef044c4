"""Vector stores, one folder each: how one is addressed, opened, read and written."""
