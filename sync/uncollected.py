"""Work on many people at once, spared by the collector of garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector, which would look at all that is loaded again and again, at a quarter of the time: what is
    worked out for a batch or a span of people leaves hardly anything that only it could free."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
