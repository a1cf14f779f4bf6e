#!/usr/bin/env -S python3 -u
"""A function behind a URL that behaves as its path says.

It listens at PORT, or at a free port, and writes the port to the file `port`.
"""

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def note(file, text):
    with open(file, "a") as out:
        print(text, file=out)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    is_new = True

    def log_message(self, *args):
        pass

    def do_POST(self):
        # A connection without a request only asked whether this listens.
        if self.is_new:
            note("connections", "new")
            self.is_new = False
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        name = self.path.strip("/").split("?")[0]
        getattr(self, "on_" + name)(body, self.headers["faas-attempt"] == "1")

    def say(self, status, body=b"", media=None, length=None, headers={}):
        self.send_response(status)
        if media:
            self.send_header("content-type", media)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def on_echo(self, body, is_first):
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = {"headers": headers, "path": self.path, "body": body.decode()}
        self.say(200, json.dumps(told).encode(), "application/json")

    def on_upper(self, body, is_first):
        self.say(200, body.upper(), "application/octet-stream")

    def on_status(self, body, is_first):
        note("calls", body.decode())
        self.say(int(body), b"" if body == b"204" else b"said " + body)

    def on_later(self, body, is_first):
        note("times", time.monotonic_ns())
        if is_first:
            self.say(int(body), headers={"retry-after": "1"})
        else:
            self.say(200, body)

    def on_closes(self, body, is_first):
        note("calls", body.decode())
        self.say(200, body)
        self.close_connection = True

    def on_silent(self, body, is_first):
        self.close_connection = True

    def on_never(self, body, is_first):
        time.sleep(60)

    def on_seven(self, body, is_first):
        if body == b"7":
            time.sleep(60)
        self.say(200, body)

    def on_slow(self, body, is_first):
        self.say(200, length=len(body))
        for byte in body:
            time.sleep(0.01)
            self.wfile.write(bytes([byte]))

    def on_short(self, body, is_first):
        self.say(200, body, length=len(body) + 5)
        self.close_connection = True

    def on_long(self, body, is_first):
        more = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong"
        self.say(200, body + more, length=len(body))

    def on_reply(self, body, is_first):
        reply = json.loads(body)
        self.say(200, reply["body"].encode(), reply["media"], headers=reply.get("headers", {}))

    def on_port(self, body, is_first):
        port = os.environ["PORT"]
        note("ports", port)
        self.say(200, body + f" {port}".encode())

    def on_dies(self, body, is_first):
        note("calls", f"{body.decode()} {self.headers['faas-attempt']}")
        if body == b"100" and not os.path.exists("died"):
            note("died", "here")
            os._exit(3)
        self.say(200, body)


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), Handler)
server.daemon_threads = True
note(f"port.{os.getpid()}", server.server_port)
os.rename(f"port.{os.getpid()}", "port")
note("pids", os.getpid())
print("it listens")
server.serve_forever()
