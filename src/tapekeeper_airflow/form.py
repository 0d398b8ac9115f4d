"""What was typed into a trigger form; Airflow checks types and choices and lets unknown keys through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tapekeeper.errors import ConfigInvalid


def typed_into(form: Iterable[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed into the fields of a form.

    Raises:
        ConfigInvalid: there is no such field; the message lists those that exist.
    """
    known = sorted(form)
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise ConfigInvalid(f"{unknown[0]!r} is not a parameter: use {', '.join(known)}")
    return dict(params)
