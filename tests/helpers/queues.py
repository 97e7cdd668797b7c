"""Private queues: a Redis that takes no port (it listens on a Unix socket), and a RabbitMQ on ports of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from tests.helpers.waiting import LONG, until


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
        until(self._answers)

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
        self._process.wait(LONG)

    def close(self) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(LONG)

    def _answers(self) -> bool:
        import redis

        try:
            return bool(self.ask("PING"))
        except (redis.RedisError, OSError):
            return False


class NoRabbit(Exception):
    """There is no RabbitMQ here. The text says where was looked."""


class Rabbit:
    """A running RabbitMQ of ours, on loopback. It may be killed, and started again with or without what it held."""

    def __init__(self, folder: Path) -> None:
        # Not the program on PATH: where that runs as root it becomes another user, who owns none of this.
        self._program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        if not self._program.exists():
            raise NoRabbit(f"no {self._program}; on Debian and Ubuntu: apt-get install rabbitmq-server")
        self._folder = folder / "rabbit"
        self._folder.mkdir()
        self._port, between, names = _free_ports(3)
        self.url = f"amqp://127.0.0.1:{self._port}//"  # as guest, who is let in from this machine
        (self._folder / "plugins").write_text("[].\n", encoding="ascii")
        (self._folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self._port}\n", encoding="ascii")
        self._environ = os.environ | {
            "HOME": str(self._folder),  # its cookie
            "RABBITMQ_NODENAME": f"leadbridge{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(between),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(names),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        process = self._process = subprocess.Popen(
            [self._program], env=self._environ, cwd=self._folder, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: self._answers() or process.poll() is not None)
        assert process.poll() is None, "rabbitmq-server ended"

    def kill(self) -> None:
        """At once, with every process of its group."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(LONG)

    def forget(self) -> None:
        """Lose everything it held: queues, and the hints in them. Only while it is dead."""
        shutil.rmtree(self._folder / "data")

    def close(self) -> None:
        self.kill()
        # The name server of Erlang, which it started: on a port of its own, so nobody else's.
        if program := shutil.which("epmd"):
            subprocess.run([program, "-kill"], env=self._environ, check=False, capture_output=True, timeout=10)

    def _answers(self) -> bool:
        import amqp

        try:
            with amqp.Connection(f"127.0.0.1:{self._port}", connect_timeout=2):
                return True
        except (amqp.AMQPError, OSError):
            return False


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
