"""The load harness: what a running server holds, measured from outside over HTTP.

A server, a client and, where it is compared, the bare engine live in processes of their own. They share one machine,
so every report states what each of them took of it.
"""
