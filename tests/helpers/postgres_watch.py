"""Keeps one PostgreSQL server for as long as a test run lives, however that run ends. Started by `databases.py`.

python postgres_watch.py RUN_PID USER FOLDER COMMAND...

Once there is a file `kept` in the folder, a server that ends is started again, as soon as there is no file `down`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main(run_pid: int, user: str, folder: str, command: list[str]) -> None:
    server = subprocess.Popen(command, cwd=folder, **json.loads(user))
    while alive(run_pid):
        if server.poll() is not None:
            if not Path(folder, "kept").exists():
                break
            if not Path(folder, "down").exists():
                server = subprocess.Popen(command, cwd=folder, **json.loads(user))
        time.sleep(0.1)
    if server.poll() is None:
        server.send_signal(signal.SIGQUIT)  # immediate shutdown: nothing in it is needed any more
        server.wait()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
