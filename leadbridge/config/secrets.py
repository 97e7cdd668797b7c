"""Every secret of a configuration, to be hidden wherever a line would show one (reliability G26)."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, SecretStr


def secrets_of(value: object) -> Iterator[str]:
    """The secrets in this section and all below it, in plain."""
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case BaseModel():
            for name in type(value).model_fields:
                yield from secrets_of(getattr(value, name))
        case Mapping():
            for one in value.values():
                yield from secrets_of(one)
        case list() | tuple():
            for one in value:
                yield from secrets_of(one)
