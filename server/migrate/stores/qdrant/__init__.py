"""Qdrant: a collection on a server or in a folder."""
