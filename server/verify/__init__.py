"""Whether vectors are of the embedding space that they are said to be of."""
