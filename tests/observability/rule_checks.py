"""What has to hold between rules, their tests, the catalogue of metrics and the runbooks; each yields what does not.

They take the folder of the rules, so that a test can show them a broken copy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.observability.catalogue import Told, own_metrics
from tests.observability.rules import PROMETHEUS, alerts, case_files, load, looks, metrics, recorded, rule_files, rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ALWAYS_FIRING: Final = "Watchdog"
_OF_EVERY_TARGET: Final = {"job", "instance", "le"}


def unproven_alerts(folder: Path = PROMETHEUS) -> Iterator[str]:
    """Every alert is seen firing in one case and silent in another, at each of its speeds."""
    seen = [look for file in case_files(folder) for look in looks(file)]
    for rule in alerts(folder):
        name, speed = rule["alert"], rule["labels"].get("speed", "")
        told = {look.firing for look in seen if look.alert == name and speed in look.selector}
        wanted = {True} if name == ALWAYS_FIRING else {True, False}
        for firing in sorted(wanted - told):
            yield " ".join(filter(None, (name, speed, "is never seen", "firing" if firing else "silent")))


def ages(folder: Path = PROMETHEUS) -> set[str]:
    """Return the alerts that look at something with a memory: an age, or what was told last."""
    remembering = {rule["record"] for rule in rules(folder) if "record" in rule and "last_over_time" in rule["expr"]}
    return {
        rule["alert"]
        for rule in alerts(folder)
        if "last_over_time" in rule["expr"] or recorded(rule["expr"]) & remembering or "burn" in rule["expr"]
    }


def ages_without_a_death(folder: Path = PROMETHEUS) -> Iterator[str]:
    """Every age is seen firing after the process that tells it died: its series ends, and a plain age with it."""
    seen = {
        matched[1]
        for file in case_files(folder)
        for case in load(file)["tests"]
        if "died" in case["name"] and any("stale" in series["values"] for series in case["input_series"])
        for check in case["promql_expr_test"]
        if check["exp_samples"] and (matched := re.search(r'alertname="(\w+)"', check["expr"]))
    }
    yield from (f"{name} is never seen firing after its process died" for name in sorted(ages(folder) - seen))


def ages_that_can_end(folder: Path = PROMETHEUS) -> Iterator[str]:
    """No age is computed from a series without a memory."""
    for rule in rules(folder):
        for age in re.findall(r"time\(\) - (.{60})", rule["expr"]):
            if "last_over_time" not in age:
                yield f"{rule.get('alert', rule.get('record'))} ends with the process that tells it"


def unknown_metrics(folder: Path = PROMETHEUS) -> Iterator[str]:
    """Rules and their tests look at metrics of the catalogue, and at labels that these have."""
    known = own_metrics()
    for file in rule_files(folder):
        text = file.read_text(encoding="utf-8")
        yield from (f"{file.name} asks for {name}" for name in sorted(metrics(text) - known.keys()))
        for name, selector in re.findall(r"\b(tapekeeper_\w+)\{([^}]*)\}", text):
            labels = set(re.findall(r"(\w+)[!=]=?", selector)) - _OF_EVERY_TARGET
            if name in known and not labels <= known[name].labels:
                yield f"{file.name} asks {name} for {sorted(labels - known[name].labels)}"
    for file in case_files(folder):
        yield from (f"{file.name} invents {series}" for series in _invented(file, known))


def strayed_runbooks(folder: Path = PROMETHEUS) -> Iterator[str]:
    """Every alert leads to its runbook, and every runbook has its alert."""
    books = {file.stem for file in (folder / "runbooks").glob("*.md")}
    names = {rule["alert"] for rule in alerts(folder)}
    yield from (f"{name} has no runbook" for name in sorted(names - books))
    yield from (f"no alert leads to {name}.md" for name in sorted(books - names))
    for rule in alerts(folder):
        if not rule["annotations"]["runbook_url"].endswith(f"/runbooks/{rule['alert']}.md"):
            yield f"{rule['alert']} leads to {rule['annotations']['runbook_url']}"


def differences(documented: Mapping[str, Told], published: Mapping[str, Told]) -> Iterator[str]:
    """The page tells what the programs tell, no more and no less."""
    yield from (f"{name} is told and not documented" for name in sorted(published.keys() - documented.keys()))
    yield from (f"{name} is documented and not told" for name in sorted(documented.keys() - published.keys()))
    for name in sorted(documented.keys() & published.keys()):
        if documented[name] != published[name]:
            yield f"{name} is documented as {documented[name]} and told as {published[name]}"


def _invented(file: Path, known: Mapping[str, Told]) -> Iterator[str]:
    for series in [told["series"] for case in load(file)["tests"] for told in case["input_series"]]:
        name = series.split("{")[0]
        labels = set(re.findall(r'(\w+)="', series)) - _OF_EVERY_TARGET
        if name.startswith("tapekeeper_") and (name not in known or labels != known[name].labels - {"le"}):
            yield series
