"""Where texts come from: one file a format; each streams, and gives the same records in the same order again."""
