"""The steps from an input record to an output row: window, shard, chunk, tokenize, embed."""
