"""What the pretended services of plugins have in common: HTTP on this machine, a journal, trouble on demand."""

import json
import socket
import threading
import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn, Self

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from leadbridge.testing import Trouble

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class TroubledServer:
    """A service on this machine only. A context manager. `writing`: the operations that write our properties."""

    writing: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.troubles: list[tuple[Trouble, list[int]]] = []
        self._lock = threading.RLock()
        self._server = make_server("127.0.0.1", 0, self, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @abstractmethod
    def answer(self, request: Request) -> Response:
        """What the service does and says. Called by one thread at a time."""

    def trouble(self, trouble: Trouble) -> None:
        """Let this befall the next calls."""
        self.troubles.append((trouble, [trouble.skip, trouble.times]))

    def calls(self, operation: str = "") -> int:
        """Calls that arrived so far; only those whose name begins so."""
        return sum(one.startswith(operation) for one in self.journal)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        request = Request(environ)
        operation = f"{request.method} {request.path}"
        with self._lock:
            self.journal.append(operation)
            trouble = self._befalls(operation)
        if trouble and trouble.kind == "status":
            answer = as_json({"error": "as scripted"}, trouble.status)
            answer.headers.extend(dict(trouble.headers))
        elif trouble and trouble.kind in ("html", "empty"):
            page = "<html>out of order</html>" if trouble.kind == "html" else ""
            answer = Response(page, trouble.status, dict(trouble.headers), mimetype="text/html")
        elif trouble and trouble.kind == "reset_before":
            _cut(environ)
        else:
            if trouble and trouble.kind == "hang":
                time.sleep(trouble.seconds)
            with self._lock:
                answer = self.answer(request)
            if trouble and trouble.kind == "reset_after":
                _cut(environ)
            if trouble and trouble.kind == "truncate":
                body = answer.get_data()
                answer = Response(body[: len(body) // 2], answer.status_code, mimetype="application/json")
        return answer(environ, start_response)

    def _befalls(self, operation: str) -> Trouble | None:
        for trouble, left in self.troubles:
            if trouble.writing and operation not in self.writing:
                continue
            if left[0] > 0:
                left[0] -= 1
                return None
            if left[1] > 0:
                left[1] -= 1
                return trouble
        return None


def as_json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status, mimetype="application/json")


def _cut(environ: "WSGIEnvironment") -> NoReturn:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)  # werkzeug would go on to read the body to its end
    raise ConnectionResetError
