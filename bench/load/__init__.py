"""The load-test harness: drives a running server over HTTP.

The server, the client and, for comparison, the bare engine run in separate processes on one machine, so reports state
the CPU that each of them used.
"""
