"""The request formats, one per module: parse bytes to a validated request, render vectors to bytes. Pure, no HTTP."""
