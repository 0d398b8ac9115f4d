"""Parameters of a request: typed JSON from a POST, text from the query of a GET."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from simulator.errors import invalid


class Params:
    """Reads parameters, and answers a missing or wrong one with the venue's error -32602."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def optional_text(self, name: str) -> str | None:
        """Return a text parameter, or None if it was not sent."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise invalid(name, "wrong format")
        return value

    def text(self, name: str) -> str:
        """Return a text parameter that has to be there."""
        value = self.optional_text(name)
        if not value:
            raise invalid(name, "missing required parameter")
        return value

    def optional_integer(self, name: str) -> int | None:
        """Return a whole number, or None if it was not sent."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(name, "wrong format")
        return value

    def integer(self, name: str) -> int:
        """Return a whole number that has to be there."""
        value = self.optional_integer(name)
        if value is None:
            raise invalid(name, "missing required parameter")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean that is false where it was not sent."""
        value = self._values.get(name, False)
        if value in (True, "true"):
            return True
        if value in (False, "false"):
            return False
        raise invalid(name, "wrong format")

    def texts(self, name: str) -> list[str]:
        """Return a list of texts that has to be there."""
        value = self._values.get(name)
        if value is None:
            raise invalid(name, "missing required parameter")
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise invalid(name, "wrong format")
        return value

    def choice(self, name: str, allowed: Collection[str], default: str | None = None) -> str:
        """Return one of the allowed words; without a default it has to be there."""
        value = self.optional_text(name) or default
        if value is None:
            raise invalid(name, "missing required parameter")
        if value not in allowed:
            raise invalid(name, "wrong format")
        return value
