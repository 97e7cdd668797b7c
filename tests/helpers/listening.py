"""A listener as a process of its own, to be killed: `python -m tests.helpers.listening STORE SANDBOX PUBSUB`."""

import sys
import threading

from leadbridge.store import open_store
from sync import stream
from tests.helpers import rooms
from tests.helpers.databases import KEY


def main(store_url: str, sandbox_url: str, pubsub: str) -> None:
    store = open_store(store_url, key=KEY)
    config = rooms.configuration(sandbox_url, salesforce={"change_events": True, "pubsub": pubsub})
    crm = rooms.salesforce(config)
    print("ready", flush=True)
    stream.listen(store, crm, owner="killed", stop=threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:])
