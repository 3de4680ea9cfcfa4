"""Ports for whoever has to know one before it is opened."""

import itertools
import os
import re
import socket

# Below those that the system gives out by itself (ip_local_port_range), so that nobody is given one in the meantime; each of
# the processes that run tests side by side has a thousand of its own.
_WORKER = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or os.getpid() % 8 + 8)
_FIRST = 12000 + 1000 * (_WORKER % 16)
_next = itertools.cycle(range(_FIRST, _FIRST + 1000))


def free_port():
    """Nobody has it, for UDP or for TCP, and it is not given out again soon."""
    for port in itertools.islice(_next, 1000):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port from {_FIRST} on")
