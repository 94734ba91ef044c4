"""Other people's clients against a real server, and judges of the schema."""
