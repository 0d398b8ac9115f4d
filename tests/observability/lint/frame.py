"""Rules about a dashboard as a whole: who it is, and how its panels lie."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, Final

from tests.observability.lint.dashboard import at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.observability.lint.dashboard import Dashboard, Json
    from tests.observability.lint.project import Project

COLUMNS: Final = 24
LONGEST_UID: Final = 40
SCHEMA_VERSION: Final = 42
TAG: Final = "tapekeeper"
_VOLATILE: Final = ("id", "version", "iteration", "gnetId", "__inputs", "__requires", "__elements")


def uid_is_fixed(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """It follows from the name of the file, so that links and bookmarks stay; Grafana takes 40 characters."""
    uid, wanted = dashboard.document.get("uid"), f"tapekeeper-{dashboard.name.replace('_', '-')}"
    if uid != wanted:
        yield f"its uid is {uid!r} instead of {wanted!r}"
    if len(wanted) > LONGEST_UID:
        yield f"its uid has {len(wanted)} characters, and Grafana takes {LONGEST_UID}"


def nothing_volatile(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Numbers that a server gives make a difference where there is none."""
    yield from (f"it holds {key!r}" for key in _VOLATILE if key in dashboard.document)


def is_not_edited_by_hand(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """It comes from the generator."""
    if dashboard.document.get("editable") is not False:
        yield "editable is not false"


def has_the_last_classic_schema(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Grafana 11, 12 and 13 load it."""
    if (version := dashboard.document.get("schemaVersion")) != SCHEMA_VERSION:
        yield f"schemaVersion is {version} instead of {SCHEMA_VERSION}"


def has_the_tag(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """The menu lists what has it."""
    if TAG not in dashboard.document.get("tags", []):
        yield f"the tag {TAG!r} is missing"


def shows_utc(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """All times of the project are UTC."""
    if dashboard.document.get("timezone") != "utc":
        yield "timezone is not utc"


def panels_lie_within_the_grid(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Of 24 columns."""
    for panel in dashboard.panels:
        place = panel["gridPos"]
        if min(place["x"], place["y"], place["w"] - 1, place["h"] - 1) < 0 or place["x"] + place["w"] > COLUMNS:
            yield f"{at(panel)} lies outside of the {COLUMNS} columns: {place}"


def panels_do_not_overlap(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Grafana would push one down, and the page would look like nobody planned it."""
    open_panels = dashboard.document.get("panels", [])
    for one, other in combinations(open_panels, 2):
        if _share(one["gridPos"], other["gridPos"], "x", "w") and _share(one["gridPos"], other["gridPos"], "y", "h"):
            yield f"{at(one)} and {at(other)} overlap"


def titles_are_unique(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """A person names a panel by its title; so do our findings. A heading may say the same."""
    panels = [panel for panel in dashboard.panels if panel["type"] != "row"]
    yield from (f"{times} panels have the title {title!r}" for title, times in _repeated(panels, "title"))


def numbers_are_unique(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Links to a panel use its number."""
    yield from (f"{times} panels have the id {number}" for number, times in _repeated(dashboard.panels, "id"))


def dashboards_are_distinct(dashboards: Sequence[Dashboard], _: Project) -> Iterator[str]:
    """Of two with one uid or one title Grafana keeps either."""
    documents = [dashboard.document for dashboard in dashboards]
    for key in ("uid", "title"):
        yield from (f"{times} dashboards have the {key} {value!r}" for value, times in _repeated(documents, key))


def _share(one: Json, other: Json, start: str, length: str) -> bool:
    return bool(one[start] < other[start] + other[length] and other[start] < one[start] + one[length])


def _repeated(found: Sequence[Json], key: str) -> Iterator[tuple[object, int]]:
    counted = Counter(told.get(key) for told in found)
    yield from ((value, times) for value, times in counted.items() if times > 1)
