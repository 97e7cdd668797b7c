"""An answer that waits for the commit of what it answers, and no thread that waits with it (reliability G1, G2).

It is made, habits and all, while its delivery is being committed with others, and leaves once that is done. Under any
WSGI server, iterating over it waits; ours (`webhooks.serve`) does something else meanwhile and comes back.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flask import Response

from webhooks.writer import Keeping, Unavailable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Held(Response):
    """What is answered once the delivery is stored; `instead` makes what is answered when it is not.

    `told` is called with the status that left.
    """

    told: Callable[[int], None]

    def __init__(self, keeping: Keeping, instead: Callable[[], Response], *answer: Any, **options: Any) -> None:
        super().__init__(*answer, **options)
        self.keeping = keeping
        self._instead = instead

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Later":
        return Later(self, environ, start_response)

    def leave(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer, now that it is known how the commit ended."""
        answer: Response = self
        if self.keeping.error is not None:
            answer = self._instead()
            for name, value in self.headers:
                answer.headers.setdefault(name, value)
        self.told(answer.status_code)
        return Response.__call__(answer, environ, start_response)


class Later:
    """A held answer on its way through WSGI."""

    def __init__(self, held: Held, environ: "WSGIEnvironment", start_response: "StartResponse") -> None:
        self.held = held
        self._environ = environ
        self._start_response = start_response

    def __iter__(self) -> Iterator[bytes]:
        with suppress(Unavailable):
            self.held.keeping.wait()
        yield from self.held.leave(self._environ, self._start_response)
