"""A private Redis server, which takes no port: it listens on a Unix socket in a folder of its own."""

import contextlib
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any


class NoRedis(Exception):
    """There is no redis-server here. The text says where was looked."""


class Redis:
    """A running Redis of ours. It may be stopped, killed and started again; it remembers nothing."""

    def __init__(self, folder: Path, *options: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise NoRedis("no redis-server on PATH; on Debian and Ubuntu: apt-get install redis-server")
        self.socket = folder / "redis.sock"
        self.url = f"redis+socket://{self.socket}"
        self._command = [
            program, "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no",
            "--dir", str(folder), "--loglevel", "warning", *options,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < deadline, "redis-server does not start"
            time.sleep(0.02)

    def ask(self, *words: str | int) -> Any:
        """What it answers to a command."""
        import redis

        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            return client.execute_command(*words)

    def signal(self, what: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(what)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)

    def close(self) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)

    def _answers(self) -> bool:
        import redis

        try:
            return bool(self.ask("PING"))
        except (redis.RedisError, OSError):
            return False
