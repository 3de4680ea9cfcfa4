#!/usr/bin/env python3
"""Stands in for a chat in tools/demo: a receiver of signed webhooks (Standard Webhooks 1.0.0).

  demo_receiver.py FOLDER             receives; writes FOLDER/receiver.port, .secret, messages.jsonl
  demo_receiver.py --show FOLDER TYPE RULE   prints the newest such message for people"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import sys


def signature(secret, message_id, timestamp, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def receive(folder):
    secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
    (folder / "receiver.secret").write_text(secret)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802 (the name is http.server's)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            wanted = signature(secret, self.headers["webhook-id"], self.headers["webhook-timestamp"], body)
            valid = wanted in self.headers["webhook-signature"].split(" ")
            with open(folder / "messages.jsonl", "a", encoding="utf-8") as messages:
                message = {**json.loads(body), "signature": "valid" if valid else "INVALID"}
                messages.write(json.dumps(message, separators=(",", ":")) + "\n")
            self.send_response(204 if valid else 401)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    (folder / "receiver.port.new").write_text(str(server.server_address[1]))
    (folder / "receiver.port.new").rename(folder / "receiver.port")
    server.serve_forever()


def show(folder, kind, rule):
    lines = (folder / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    found = map(json.loads, lines)
    message = [one for one in found if one["type"] == kind and one["data"]["rule"] == rule][-1]
    data = message["data"]
    print(f"  {data['text']}")
    print(f"  {message['type']} at {message['timestamp']}, severity {data['severity']}, signature {message['signature']}")
    return 0 if message["signature"] == "valid" and data["text"] else 1


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] == "--show":
        sys.exit(show(pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
    receive(pathlib.Path(sys.argv[1]))
