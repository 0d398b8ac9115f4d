"""Errors as the venue answers them: a status of HTTP and {"code": ..., "msg": ...}.

Source: the venue's "Error Codes" page of USD-M futures. What it has no words for is told as clients
met it.
"""

from __future__ import annotations


class UmError(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> dict[str, object]:
        """Return the JSON that tells it."""
        return {"code": self.code, "msg": self.message}


def missing(name: str) -> UmError:
    """Return the error for a parameter that has to be sent."""
    return UmError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str, legal: str) -> UmError:
    """Return the error for a parameter with characters that it may not have; `legal` is their pattern."""
    return UmError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def not_valid(name: str) -> UmError:
    """Return the error for a parameter out of its range."""
    return UmError(-1130, f"Data sent for parameter '{name}' is not valid.")


def refused_time(name: str) -> UmError:
    """Return the error for a time that lies before what is kept."""
    return UmError(-1130, f"parameter '{name}' is invalid.")


def bad_symbol() -> UmError:
    """Return the error for a symbol that is not listed."""
    return UmError(-1121, "Invalid symbol.")


def bad_interval() -> UmError:
    """Return the error for an interval that is not offered."""
    return UmError(-1120, "Invalid interval.")


def turned_round() -> UmError:
    """Return the error for a window that ends before it starts."""
    return UmError(-1023, "Start time is greater than end time.")


def too_long(hours: int) -> UmError:
    """Return the error for a window that is too long."""
    return UmError(-1127, f"More than {hours} hours between startTime and endTime.")


def mixed(first: str, second: str) -> UmError:
    """Return the error for parameters that cannot be sent together."""
    return UmError(-1128, f"Combination of optional parameters invalid: '{first}' and '{second}'.")
