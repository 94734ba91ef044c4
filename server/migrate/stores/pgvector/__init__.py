"""PostgreSQL with pgvector: a table."""
