#!/usr/bin/env python3
"""What kafka.sh cannot do in a shell.

wire.py ports COUNT     prints free ports of 127.0.0.1
wire.py id              prints an id for a new cluster
wire.py ready DIR       waits, at most a minute, until each broker of DIR knows
                        of all of them and of a controller
wire.py ready DIR ID    the same for one broker, which needs to know of itself
"""
import base64
import os
import pathlib
import random
import socket
import struct
import sys
import time

# Below the range that outgoing connections take theirs from: a client that
# tries again and again cannot take the port of a broker that is being restarted.
PORTS = range(10000, 32768)
PATIENCE = 60
METADATA, VERSION, ALL_TOPICS = 3, 4, -1


def ports(count):
    """Free ports, held until all are found so that they differ."""
    held = []
    while len(held) < count:
        sock = socket.socket()
        try:
            sock.bind(("127.0.0.1", random.choice(PORTS)))
            held.append(sock)
        except OSError:
            sock.close()
    return [sock.getsockname()[1] for sock in held]


class Answer:
    """Reads fields of an answer one after the other."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def int32(self):
        (value,) = struct.unpack_from(">i", self.data, self.at)
        self.at += 4
        return value

    def text(self):
        (length,) = struct.unpack_from(">h", self.data, self.at)
        start = self.at + 2
        self.at = start + max(length, 0)
        return self.data[start : self.at].decode()


def exactly(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise OSError("connection closed")
        data += more
    return data


def metadata(port):
    """Ids of the brokers that this one knows of, and the controller's."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        ask = struct.pack(">hhihi?", METADATA, VERSION, 1, -1, ALL_TOPICS, False)
        sock.sendall(struct.pack(">i", len(ask)) + ask)
        answer = Answer(exactly(sock, struct.unpack(">i", exactly(sock, 4))[0]))
    answer.int32()  # the number of the question
    answer.int32()  # throttle time
    brokers = set()
    for _ in range(answer.int32()):
        brokers.add(answer.int32())
        answer.text(), answer.int32(), answer.text()  # host, port, rack
    answer.text()  # the cluster's id
    return brokers, answer.int32()


def ended(broker):
    """Whether its process is gone; a dead one that nobody waited for counts."""
    try:
        pid = (broker / "pid").read_text().strip()
    except FileNotFoundError:
        return False  # it only begins
    try:
        return not pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def missing(broker, wanted):
    """What this broker still misses; None if nothing."""
    port = int((broker / "ports").read_text().split()[1])
    try:
        known, controller = metadata(port)
    except (OSError, struct.error) as error:
        return f"port {port}: {error}"
    if not wanted <= known or controller < 0:
        return f"it knows of brokers {sorted(known)}, controller {controller}"
    return None


def ready(folder, one=None):
    folder = pathlib.Path(folder)
    everyone = {int(file.parent.name) for file in folder.glob("*/ports")}
    wanted = everyone if one is None else {int(one)}
    patience = time.monotonic() + PATIENCE
    for broker in [folder / str(number) for number in sorted(wanted)]:
        while True:
            why = missing(broker, wanted)
            if why is None:
                break
            if ended(broker):
                sys.exit(f"broker {broker.name} has ended")
            if time.monotonic() > patience:
                sys.exit(f"broker {broker.name}: {why}")
            time.sleep(0.05)


def main(what="", *words):
    if what == "ports":
        print(*ports(int(words[0])))
    elif what == "id":
        print(base64.urlsafe_b64encode(b"\x01" + os.urandom(15)).decode().rstrip("="))
    elif what == "ready":
        ready(*words)
    else:
        sys.exit(__doc__)


main(*sys.argv[1:])
