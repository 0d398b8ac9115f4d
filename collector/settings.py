"""Settings of the collector: environment variables, read once, checked at once, passed down, never changed.

Where the database and the venue are is told by the variables of the core (`tapekeeper.settings`); what concerns the
collector alone begins with `TAPEKEEPER_COLLECTOR_`. Five names without that prefix are those that users have.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError

from tapekeeper.errors import ConfigInvalid
from tapekeeper.settings import COLLECTOR_PREFIX, Concern

SHORT_NAMES: Final = {
    "top_n_instruments": "TOP_N_INSTRUMENTS",
    "buffer_size_quotes": "BUFFER_SIZE_QUOTES",
    "buffer_size_trades": "BUFFER_SIZE_TRADES",
    "flush_interval_sec": "FLUSH_INTERVAL_SEC",
    "shard": "SHARD",
}
"""The environment variables without a prefix, by field."""
CHANNELS: Final = ("book", "ticker", "trades")

Channel = Literal["book", "ticker", "trades"]


def _top(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "all" else value


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _shard(value: object) -> object:
    found = re.fullmatch(r"\s*([0-9]{1,3})\s*/\s*([0-9]{1,3})\s*", value) if isinstance(value, str) else None
    if found is None:
        return value if isinstance(value, tuple) else ()
    return int(found[1]), int(found[2])


def _one_of_n(value: tuple[int, ...]) -> tuple[int, int]:
    if len(value) != 2 or not 1 <= value[0] <= value[1]:
        raise ValueError("must look like 1/3, 2/3 or 3/3: which of how many processes this one is")
    return value[0], value[1]


class CollectorSettings(Concern):
    """Everything that can be set about the collector."""

    currency: str = Field(default="ETH", pattern=r"^[A-Z]{2,10}$")
    """The venue's currency whose instruments are followed."""
    kind: Literal["option"] = "option"
    """The venue's kind of the instruments."""
    top_n_instruments: Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_top)] = 50
    """How many instruments to follow, those with the largest open interest first; `all` for every one."""
    channels: Annotated[tuple[Channel, ...], BeforeValidator(_split), Field(min_length=1)] = CHANNELS
    """Which streams to follow, separated by commas; quotes need book, trades need trades."""
    trades_channel: Literal["instrument", "currency"] = "instrument"
    """One trades channel per instrument, or one for the whole currency, which covers new listings by itself."""
    buffer_size_quotes: int = Field(default=200_000, ge=1)
    """Quotes held in memory at most; beyond it the oldest are dropped, counted, and covered by a gap."""
    buffer_size_trades: int = Field(default=100_000, ge=1)
    """Trades held in memory at most; beyond it reading pauses: no trade is dropped."""
    flush_interval_sec: float = Field(default=3.0, ge=0.05, le=60)
    """How often what was received is committed; earlier when 10,000 rows wait."""
    shard: Annotated[tuple[int, ...], BeforeValidator(_shard)] = (1, 1)
    """`2/3`: this process is the second of three that share the instruments."""
    channels_per_connection: int = Field(default=400, ge=4, le=4_000)
    """Channels on one connection at most; the venue suggests 500 a call and names no limit per connection."""
    connections_maximum: int = Field(default=11, ge=1, le=30)
    """WebSocket connections at most; the venue refuses the 33rd from one address, HTTP and other processes included."""
    silence_warning_seconds: float = Field(default=10.0, gt=0)
    """A connection without any tick for this long is worth a warning; a quiet instrument is not."""
    silence_close_seconds: float = Field(default=35.0, gt=0)
    """A connection without any frame, heartbeats included, for this long is dead and is closed."""
    reconnect_first_seconds: float = Field(default=1.0, gt=0, le=60)
    """The first pause before a connection is made again; each further one doubles, with jitter."""
    reconnect_longest_seconds: float = Field(default=60.0, gt=0, le=600)
    """No such pause is longer."""
    refresh_seconds: float = Field(default=3_600.0, ge=1)
    """How often the instruments are chosen anew; news of listings and expiries come at once."""
    sweep_seconds: float = Field(default=300.0, ge=1, le=3_600)
    """How often the venue is asked for trades that did not come; after an interruption it is asked at once."""
    resubscribe_seconds: float = Field(default=600.0, ge=1)
    """How often channels that the venue did not accept are asked for again."""
    spool_directory: Path = Path("spool")
    """Where batches wait while the database is away, and where malformed frames are kept."""
    spool_bytes_maximum: int = Field(default=1_073_741_824, ge=65_536)
    """Size of the waiting batches at most."""
    record_directory: Path | None = None
    """Where raw frames are kept, compressed and rotated; without it they are not."""
    record_bytes_maximum: int = Field(default=10_737_418_240, ge=1_048_576)
    """Size of all kept frames at most; beyond it the oldest files are deleted."""
    metrics_host: str = "127.0.0.1"
    """Where /metrics, /livez and /readyz are served; 0.0.0.0 in a container."""
    metrics_port: int = Field(default=9101, ge=0, le=65_535)
    """0 takes a free port, which is logged."""
    exporter_host: str = "127.0.0.1"
    """Where `python -m collector metrics` serves the same three; 0.0.0.0 in a container."""
    exporter_port: int = Field(default=9102, ge=0, le=65_535)
    """The port of `python -m collector metrics`; 0 takes a free port, which is logged."""
    stats_seconds: float = Field(default=60.0, ge=1)
    """How often a line STATS is logged."""
    log_format: Literal["text", "json"] = "text"
    """For people or for machines."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least important lines that are logged."""

    @property
    def shard_number(self) -> int:
        """Which of the processes this one is, from 1."""
        return self.shard[0]

    @property
    def shard_count(self) -> int:
        """How many processes share the instruments."""
        return self.shard[1]


def settings_table() -> str:
    """Return every setting as a table in Markdown."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for field, described in CollectorSettings.model_fields.items():
        lines.append(f"| `{variable_of(field)}` | {_shown(field, described.default)} | {described.description} |")
    return "\n".join(lines)


def _shown(field: str, default: object) -> str:
    if default is None:
        return ""
    if field == "shard":
        return "`1/1`"
    if isinstance(default, tuple):
        return f"`{','.join(default)}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def variable_of(field: str) -> str:
    """Return the environment variable of a field."""
    return SHORT_NAMES.get(field, f"{COLLECTOR_PREFIX}{field}".upper())


def read_collector_settings(environment: Mapping[str, str]) -> CollectorSettings:
    """Return the collector's settings found in an environment, with defaults for the rest.

    Raises:
        ConfigInvalid: a variable is unknown or its value is not allowed; the message names the variable.
    """
    fields = {variable_of(field): field for field in CollectorSettings.model_fields}
    values: dict[str, str] = {}
    for name, value in sorted(environment.items()):
        if name in fields:
            values[fields[name]] = value
        elif name.startswith(COLLECTOR_PREFIX):
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"did you mean {near[0]}?" if near else "remove it, or see collector/README.md"
            raise ConfigInvalid(f"{name} is not a setting of the collector: {hint}")
    try:
        settings = CollectorSettings.model_validate(values)
        _one_of_n(settings.shard)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = str(first["loc"][0])
        raise ConfigInvalid(
            f"{variable_of(field)}={values.get(field)!r}: {first['msg'].removeprefix('Value error, ')}"
        ) from None
    except ValueError as error:
        raise ConfigInvalid(f"SHARD={values.get('shard')!r}: {error}") from None
    return settings
