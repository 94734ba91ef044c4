"""Whether int8 products are exact on this CPU, on which the tolerances for int8 graphs depend."""

from server.inference.device import INT8_FLAGS
from server.system import machine

_FLAGS = set(machine.cpu_flags())
# Without VNNI or AMX, x86 adds pairs of 8-bit products in 16 bits, where full-range weights saturate; 7-bit weights do
# not. The server warns about it at start (server.inference.device.int8_warnings).
INT8_SATURATES = bool(_FLAGS) and not INT8_FLAGS & _FLAGS
