"""LanceDB: a table in a folder or an object store."""
