#!/usr/bin/env python3
"""A web function: the standard library's server, on the port in PORT.

It is given an order's line as JSON and answers with the price, rounded; an
item that is not in its list is refused with 404.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PRICES = {"tea": 3.5, "cup": 12.25, "pot": 48}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True

    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        price = PRICES.get(order["item"])
        if price is None:
            return self.answer(404, {"unknown": order["item"]})
        order["price"] = round(price * order["qty"], 2)
        self.answer(200, order)

    def answer(self, status, value):
        body = json.dumps(value, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
