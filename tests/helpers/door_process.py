"""A web process to be killed: `python -m tests.helpers.door_process STORE_URL CONFIG_JSON` prints its URL and serves."""

import json
import sys
import threading

from leadbridge.config.schema import Config
from leadbridge.store import open_store
from tests.helpers.databases import KEY
from webhooks.app import create_app
from webhooks.serve import serve


def main(store_url: str, config: str) -> None:
    app = create_app(Config.model_validate(json.loads(config)), open_store(store_url, key=KEY), wake=lambda: None)
    server = serve(app, "127.0.0.1", 0)
    print(server.url, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), server.stop()), daemon=True).start()
    server.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
