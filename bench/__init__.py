"""The benchmark harness: size, speed and fidelity of a model's variants and of comparable libraries.

Each contender runs in its own process. Rounds are interleaved so that drift in the machine's speed affects all
contenders equally. Nothing in `server` or `build` imports this package.
"""
