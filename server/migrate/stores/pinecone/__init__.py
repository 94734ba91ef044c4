"""Pinecone: a namespace of an index."""
