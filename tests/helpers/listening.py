"""Listeners as processes of their own, killed at any moment. Run as a program, so that it may fork: one thread.

Reads one JSON object per line, `{"store", "sandbox", "pubsub"}`: a listener begins. At the next line, whatever it says,
it is killed; answers with a line when it is dead. gRPC must not be imported before a fork; everything else is.
"""

import json
import os
import signal
import sys
import threading

import fastavro

from connectors.salesforce.pubsub import pubsub_api_pb2
from leadbridge.store import open_store
from sync import stream
from tests.helpers import rooms
from tests.helpers.databases import KEY

IMPORTED_BEFORE_FORKING = fastavro, pubsub_api_pb2


def listen(store_url: str, sandbox_url: str, pubsub: str) -> None:
    store = open_store(store_url, key=KEY)
    config = rooms.configuration(sandbox_url, salesforce={"change_events": True, "pubsub": pubsub})
    stream.listen(store, rooms.salesforce(config), owner="killed", stop=threading.Event())


if __name__ == "__main__":
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            listen(order["store"], order["sandbox"], order["pubsub"])
        sys.stdin.readline()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print("dead", flush=True)
