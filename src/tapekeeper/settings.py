"""Settings: read once at the edge of a process, checked at once, passed down, never changed.

Every setting is an environment variable `TAPEKEEPER_<CONCERN>_<FIELD>`, such as `TAPEKEEPER_HTTP_TIMEOUT_SECONDS`.
A secret may also come from a file: `TAPEKEEPER_DATABASE_URL_FILE` names one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import psycopg2
from psycopg2.extensions import parse_dsn
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from tapekeeper.errors import ConfigInvalid

PREFIX: Final = "TAPEKEEPER_"
COLLECTOR_PREFIX: Final = "TAPEKEEPER_COLLECTOR_"
"""Names that begin so belong to the live collector, which checks them itself."""


def _database_url(value: SecretStr) -> SecretStr:
    if urlsplit(value.get_secret_value()).scheme not in {"postgresql", "postgres"}:
        raise ValueError("must look like postgresql://user:password@host:5432/database")
    try:
        parse_dsn(value.get_secret_value())
    except psycopg2.ProgrammingError:
        # libpq quotes the piece that it stumbles over, which may be a piece of the password.
        raise ValueError("cannot be understood: write special characters of the password as %2F, %40, ...") from None
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError("must look like https://host or http://host:port")
    return value.rstrip("/")


def _optional_http_url(value: str) -> str:
    return _http_url(value) if value else value


def _key(value: SecretStr | None) -> SecretStr | None:
    # A file that nobody has written a key into is there all the same.
    return value if value and value.get_secret_value().strip() else None


def _websocket_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"ws", "wss"} or not parts.netloc:
        raise ValueError("must look like wss://host/path or ws://host:port/path")
    return value


DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
OptionalHttpUrl = Annotated[str, AfterValidator(_optional_http_url)]
OptionalKey = Annotated[SecretStr | None, AfterValidator(_key)]
WebSocketUrl = Annotated[str, AfterValidator(_websocket_url)]


class Concern(BaseModel):
    """The base of the settings of one concern."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class DatabaseSettings(Concern):
    """Where PostgreSQL is."""

    url: DatabaseUrl = SecretStr("postgresql://tapekeeper@127.0.0.1:5432/tapekeeper")
    """libpq URL of a login that holds the role tapekeeper_writer; `tapekeeper migrate` needs the owner instead."""
    connect_timeout_seconds: int = Field(default=5, ge=1, le=60)
    """How long one try to connect may take."""


class ReaderDatabaseSettings(Concern):
    """Where the status page and other readers connect."""

    url: DatabaseUrl | None = None
    """libpq URL of a login that holds the role tapekeeper_reader; without it readers use TAPEKEEPER_DATABASE_URL."""


class DeribitSettings(Concern):
    """The venue Deribit."""

    rest_url: HttpUrl = "https://www.deribit.com"
    """Base of the REST interface; `/api/v2/...` is appended."""
    websocket_url: WebSocketUrl = "wss://www.deribit.com/ws/api/v2"
    """Where the live collector connects."""
    requests_per_second: float = Field(default=10.0, gt=0, le=1000)
    """Pace for all processes together. Deribit grants 20 to accounts and publishes no number for everybody else."""
    burst_requests: int = Field(default=20, ge=1, le=1000)
    """How many requests may go out at once after a quiet time."""
    connections_maximum: int = Field(default=20, ge=2, le=32)
    """HTTP connections of all processes together; backfills use half. Deribit refuses the 33rd connection from one
    address: this, the live collector's WebSockets (11), and one for its questions make 32."""


class BinanceUmSettings(Concern):
    """The venue Binance USD-M futures."""

    rest_url: HttpUrl = "https://fapi.binance.com"
    """Base of the REST interface; `/fapi/v1/...` is appended."""
    weight_per_minute: int = Field(default=2400, ge=20, le=1_000_000)
    """What the venue grants to our address, by the weights of its methods; going on beyond it ends in a ban."""


class BinanceArchiveSettings(Concern):
    """Binance's public archive of files."""

    url: OptionalHttpUrl = "https://data.binance.vision"
    """Base of the archive; `/data/futures/um/...` is appended. Empty: nothing is taken from files."""
    requests_per_second: float = Field(default=10.0, gt=0, le=1000)
    """Pace for all processes together; the archive publishes no limit."""
    recheck_hours: float = Field(default=24.0, ge=0)
    """How long after a look at the checksum of a loaded file the next one follows: files are replaced later."""


class CryptoDataDownloadSettings(Concern):
    """The venue CryptoDataDownload."""

    url: HttpUrl = "https://api.cryptodatadownload.com"
    """Base of the REST interface; `/v1/data/...` is appended."""
    api_key: OptionalKey = None
    """Of a subscription; empty or not set: nothing is asked."""
    calls_per_hour: int = Field(default=400, ge=2, le=100_000)
    """What the venue grants within any hour: users report 400 to 800. Half may go out at once, the rest follows at an
    even pace."""


class HttpSettings(Concern):
    """How every venue is asked over HTTP."""

    timeout_seconds: float = Field(default=20.0, gt=0, le=300)
    """Longest wait for the connection, and for each part of the answer."""
    attempts_maximum: int = Field(default=8, ge=1, le=50)
    """Tries of one request before its chunk is failed."""
    backoff_first_seconds: float = Field(default=0.5, gt=0, le=60)
    """Middle of the first pause after a failure; each further one doubles, with jitter of plus or minus a half."""
    backoff_longest_seconds: float = Field(default=30.0, gt=0, le=600)
    """No pause between two tries is longer, unless the venue itself names a longer one."""
    inline_wait_longest_seconds: float = Field(default=60.0, gt=0, le=3600)
    """A wait longer than this gives the worker's place back instead of holding it."""


class BackfillSettings(Concern):
    """How backfills are cut and run."""

    rows_per_chunk: int = Field(default=5000, ge=1, le=5000)
    """Candles per request and per commit; Deribit's cap is 5,001 and silently drops the oldest beyond it."""
    workers: int = Field(default=4, ge=1, le=16)
    """Chunks under way at once in one process."""
    attempts_per_chunk: int = Field(default=4, ge=1, le=50)
    """Tries of a chunk whose answer was bad data before it is failed."""
    lease_seconds: float = Field(default=60.0, ge=1, le=3600)
    """How long a silent worker keeps its chunk before another may take it; more than twice the HTTP timeout."""
    progress_rows: int = Field(default=10_000, ge=1)
    """A log line each time this many candles have been written."""


class QualitySettings(Concern):
    """What the checks take as unusual, and where their reports go."""

    report_folder: Path = Path(".tapekeeper/reports")
    """Where each quality run writes its reports; Airflow and the status page have to see the same folder."""
    gap_threshold_seconds: int = Field(default=300, ge=1)
    """A hole in candles longer than this is told in the report of long gaps."""
    refetch_windows: int = Field(default=3, ge=0, le=100)
    """How many windows of each dataset a run fetches again from the venue and compares."""
    exact_count_series_days: int = Field(default=20, ge=0)
    """How many series-days a run counts row by row against their coverage; a run over everything counts them all."""
    jump_ratio: float = Field(default=0.2, gt=0)
    """A candle that lies further than this share of its price from both neighbours is unusual."""
    anomaly_deviations: float = Field(default=6.0, gt=0)
    """An hour is unusual that is so many deviations from the same hour of the last 14 days."""


class RepairSettings(Concern):
    """How gaps are repaired."""

    permanent_after_hours: float = Field(default=24.0, ge=0)
    """A gap is permanent when the venue has nothing of it twice, so far apart."""
    attempt_pause_minutes: float = Field(default=15.0, ge=0)
    """How long a gap waits after a try that could not be finished."""
    gaps_per_run: int = Field(default=200, ge=1)
    """How many gaps one repair run takes up at most, newest and largest first."""


class Settings(Concern):
    """Everything that can be set, by concern."""

    database: DatabaseSettings = DatabaseSettings()
    reader_database: ReaderDatabaseSettings = ReaderDatabaseSettings()
    deribit: DeribitSettings = DeribitSettings()
    binance_um: BinanceUmSettings = BinanceUmSettings()
    binance_archive: BinanceArchiveSettings = BinanceArchiveSettings()
    cryptodatadownload: CryptoDataDownloadSettings = CryptoDataDownloadSettings()
    http: HttpSettings = HttpSettings()
    backfill: BackfillSettings = BackfillSettings()
    quality: QualitySettings = QualitySettings()
    repair: RepairSettings = RepairSettings()

    @property
    def reader_database_url(self) -> SecretStr:
        """The reader's URL, or the writer's where there is no reader."""
        return self.reader_database.url or self.database.url


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting, as a person meets it."""

    name: str
    """The environment variable."""
    concern: str
    field: str
    default: str
    """Empty where there is none."""
    meaning: str


def variables() -> Iterator[Variable]:
    """Yield every setting, concern by concern."""
    for concern, holder in Settings.model_fields.items():
        model = holder.annotation
        if not (isinstance(model, type) and issubclass(model, Concern)):
            raise AssertionError(f"the settings hold {concern}, which is no concern")
        for field, described in model.model_fields.items():
            default = described.default
            shown = default.get_secret_value() if isinstance(default, SecretStr) else default
            yield Variable(
                name=f"{PREFIX}{concern}_{field}".upper(),
                concern=concern,
                field=field,
                default="" if shown is None else f"{shown:g}" if isinstance(shown, float) else str(shown),
                meaning=" ".join((described.description or "").split()),
            )


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings found in an environment, with defaults for the rest.

    Raises:
        ConfigInvalid: a variable is unknown or its value is not allowed; the message names the variable.
    """
    known = {variable.name: (variable.concern, variable.field) for variable in variables()}
    values: dict[str, dict[str, str]] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith(PREFIX) or name.startswith(COLLECTOR_PREFIX):
            continue
        variable, text = _from_file(name, value) if name.endswith("_FILE") else (name, value)
        if variable not in known:
            raise ConfigInvalid(_unknown(variable, list(known)))
        concern, field = known[variable]
        if field in values.get(concern, {}):
            raise ConfigInvalid(f"{variable} and {variable}_FILE are both set: keep one")
        values.setdefault(concern, {})[field] = text
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        concern, field = str(first["loc"][0]), str(first["loc"][1])
        variable = f"{PREFIX}{concern}_{field}".upper()
        shown = "" if "url" in field or "key" in field else f"={values[concern][field]!r}"
        raise ConfigInvalid(f"{variable}{shown}: {first['msg'].removeprefix('Value error, ')}") from None


def _from_file(name: str, path: str) -> tuple[str, str]:
    try:
        return name.removesuffix("_FILE"), Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigInvalid(f"{name}={path!r}: the file cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigInvalid(f"{name}={path!r}: the file is no text in UTF-8") from None


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "remove it, or see the table of settings in README.md"
    return f"{name} is not a setting of tapekeeper: {hint}"
