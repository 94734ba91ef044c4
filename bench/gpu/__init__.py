"""`python -m bench gpu`: measure one variant on a GPU against peak, torch and fp32 on CPU, and over HTTP.

It also runs on the CPU, as a functional check; the figures are then not meaningful.
"""
