"""Keeps one PostgreSQL server for as long as a test run lives, however that run ends. Started by `databases.py`.

python postgres_watch.py RUN_PID USER FOLDER COMMAND...
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main(run_pid: int, user: str, folder: str, command: list[str]) -> None:
    server = subprocess.Popen(command, cwd=folder, **json.loads(user))
    while server.poll() is None and alive(run_pid):
        time.sleep(0.1)
    if server.poll() is None:
        server.send_signal(signal.SIGQUIT)  # immediate shutdown: nothing in it is needed any more
        server.wait()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
