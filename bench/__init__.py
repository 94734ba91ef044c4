"""The benchmark harness: how large, fast and faithful the variants of a model are, beside each other and their peers.

Measures from outside: one process holds one contender, and all of them take turns, so that a drift of the machine's
speed touches all alike. Nothing in `server` or `build` imports it.
"""
