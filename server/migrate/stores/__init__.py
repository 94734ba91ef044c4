"""What sinks, sources and comparisons share of a store: one file a store, to connect to it and to read from it."""
