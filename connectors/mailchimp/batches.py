"""Many reads in one: `/batches`, its state, and its archive (vendors/mailchimp.md section 8).

A GET without `count` pages through its whole collection at Mailchimp's side, so a batch reads all reports of a cycle
with one call to send it, a few to ask how far it is, and one to fetch what came of it.
"""

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from pydantic import Field, ValidationError

from connectors.mailchimp.auth import Api, Sdk
from connectors.mailchimp.wire import VENDOR, Shape, Text
from leadbridge.call import MOST_BYTES
from leadbridge.errors import Unknown

MOST = 500
"""Operations in one batch."""

WAITS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0)
"""Seconds between questions how far a batch is; after the last one it is left to the next pull."""

GIVE_UP = timedelta(hours=12)
"""A batch that is not finished by then never will be."""

FINISHED = "finished"
_IN_MEMORY = 4 * 1024 * 1024


class Batch(Shape):
    """How far a batch is."""

    id: str
    status: str
    archive: Text = Field("", alias="response_body_url")


class Result(Shape):
    """What came of one operation, or of one page of it. `response` is JSON within JSON."""

    status: int = Field(alias="status_code")
    operation: Text = Field("", alias="operation_id")
    response: Text = ""


@dataclass(frozen=True, slots=True)
class Read:
    """One GET of a batch; `name` comes back with what it found."""

    name: str
    path: str  # below /3.0
    params: Mapping[str, str]


class Batches:
    """The batches of one account."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def submit(self, reads: Sequence[Read]) -> str:
        """Have these read; returns the batch's id. Sent twice they are read twice, which does no harm."""
        operations = [
            {"method": "GET", "path": one.path, "operation_id": one.name, "params": dict(one.params)} for one in reads
        ]

        def call(sdk: Sdk) -> Any:
            return sdk.batches.start({"operations": operations})

        return self._api.ask("batches.create", Batch, call).id

    def finished(self, batch_id: str) -> Batch | None:
        """The batch once it is finished, asked for a few times; None while it is not.

        Raises Refused with status 404 when Mailchimp does not know it (any more): results are kept for seven days.
        """

        def call(sdk: Sdk) -> Any:
            return sdk.batches.status(batch_id)

        for wait in (*WAITS, None):
            found = self._api.ask("batches.status", Batch, call)
            if found.status == FINISHED:
                return found
            if wait is None or self._api.pace.stop.is_set():
                break
            self._api.pace.wait(wait)
        return None

    def results(self, batch: Batch) -> Iterator[list[Result]]:
        """What came of it, file by file. Raises VendorError; Unknown when the archive is none that can be read."""
        with SpooledTemporaryFile(max_size=_IN_MEMORY) as archive:
            self._api.download("batches.results", batch.archive, archive)
            archive.seek(0)
            try:
                yield from _files(archive)
            except (tarfile.TarError, EOFError, OSError, ValueError) as error:  # ValueError: no JSON, or not its shape
                raise Unknown(
                    VENDOR, "batches.results", f"an archive that cannot be read ({type(error).__name__})"
                ) from None


def _files(archive: IO[bytes]) -> Iterator[list[Result]]:
    """The regular files that are not empty; a directory comes first (section 8). None is opened by its name."""
    with tarfile.open(fileobj=archive, mode="r:*") as tar:
        for entry in tar:
            if not entry.isreg() or entry.size == 0:
                continue
            if entry.size > MOST_BYTES:
                raise tarfile.TarError
            file = tar.extractfile(entry)
            rows = json.loads(file.read()) if file else []
            if not isinstance(rows, list):
                raise tarfile.TarError
            yield [found for raw in rows if (found := _result(raw)) is not None]


def _result(raw: Any) -> Result | None:
    try:
        return Result.model_validate(raw)
    except ValidationError:
        return None
