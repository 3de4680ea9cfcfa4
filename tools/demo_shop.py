#!/usr/bin/env python3
"""The web shop of tools/demo: pushes StatsD over UDP, lines over TCP and a Unix socket.

  demo_shop.py FOLDER

FOLDER/listeners.json is what `kpictl ingest --json` said. While FOLDER/payments-fail exists the
payment provider fails and orders wait for their payment."""

import json
import pathlib
import random
import socket
import sys
import time

TICKS_PER_SECOND = 10


def connect(listeners):
    """One socket for each transport, and the address for datagrams."""
    sockets = {}
    for listener in listeners:
        transport, address = listener["listen"].split(":", 1)
        if transport == "unix":
            sockets[transport] = socket.socket(socket.AF_UNIX)
            sockets[transport].connect(address)
        elif transport == "tcp":
            host, port = address.rsplit(":", 1)
            sockets[transport] = socket.create_connection((host, int(port)))
        elif transport == "udp":
            host, port = address.rsplit(":", 1)
            sockets[transport] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sockets[transport].connect((host, int(port)))
    return sockets


def tick(shop, failing):
    """What happens in a tenth of a second, as lines for each transport."""
    customers = shop.randrange(2, 6)
    web = [f"shop.visitors:visitor-{shop.randrange(400)}|s" for _ in range(customers)]
    orders, payments = [], []
    for _ in range(customers):
        plan = shop.choice(["basic", "pro"])
        orders.append(f"shop.orders:1|c|#plan:{plan}")
        orders.append(f"shop.revenue:{shop.randrange(900, 9000) / 100}|c|#plan:{plan}")
        web.append(f"shop.checkout:{shop.randrange(80, 400)}|ms")
        payments.append("shop.payment.requests:1|c")
        if shop.random() < (0.6 if failing else 0.01):
            payments.append("shop.payment.failed:1|c")
    return web, orders, payments


def run(folder):
    listeners = json.loads((folder / "listeners.json").read_text())["listeners"]
    sockets = connect(listeners)
    shop = random.Random(4)
    waiting = 3.0
    while True:
        failing = (folder / "payments-fail").exists()
        web, orders, payments = tick(shop, failing)
        waiting = min(waiting + 2, 60) if failing else max(waiting - 3, 3)
        payments.append(f"shop.payment.waiting:{waiting:.0f}|g")
        orders.append(f"shop.stock:{shop.randrange(180, 220)}|g")
        sockets["udp"].send("\n".join(web).encode())
        sockets["tcp"].sendall(("\n".join(orders) + "\n").encode())
        sockets["unix"].sendall(("\n".join(payments) + "\n").encode())
        time.sleep(1 / TICKS_PER_SECOND)


if __name__ == "__main__":
    try:
        run(pathlib.Path(sys.argv[1]))
    except (BrokenPipeError, ConnectionError, KeyboardInterrupt):
        pass
