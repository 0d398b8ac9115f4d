"""Records as scripts read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime


def plain(value: object) -> object:
    """Return a value as JSON knows it: times as ISO 8601 in UTC, records as objects, unless they know it themselves."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if hasattr(value, "as_json"):
        return value.as_json()
    return plain_fields(value) if is_dataclass(value) else value


def plain_fields(record: object) -> dict[str, object]:
    """Return the fields of a dataclass as JSON knows them."""
    return {field.name: plain(getattr(record, field.name)) for field in fields(record)}  # type: ignore[arg-type]
