"""Chroma: a collection in a folder or on a server."""
