"""`python -m grafana.generator` writes grafana/dashboards/*.json; with --check it only compares."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grafana.generator import airflow_database, backfill, collector, freshness, gaps, overview, quality

if TYPE_CHECKING:
    from grafana.generator.dashboard import Dashboard

FOLDER: Final = Path(__file__).parents[1] / "dashboards"


def all_dashboards() -> list[Dashboard]:
    """Give every dashboard, the home first."""
    modules = (overview, collector, freshness, gaps, backfill, quality, airflow_database)
    return [module.build() for module in modules]


def differences(folder: Path) -> list[str]:
    """Compare the files of a folder with what would be written, and give a sentence for each that differs."""
    wanted = {f"{dashboard.name}.json": dashboard.as_text() for dashboard in all_dashboards()}
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    sentences = dict.fromkeys(wanted.keys() - found.keys(), "is missing")
    sentences |= dict.fromkeys(found.keys() - wanted.keys(), "is made by no module of the generator")
    sentences |= {
        name: "differs from what the generator makes"
        for name in wanted.keys() & found.keys()
        if wanted[name] != found[name]
    }
    return [f"{folder / name} {what}" for name, what in sorted(sentences.items())]


def main() -> int:
    """Write, or with --check compare."""
    parser = ArgumentParser(prog="python -m grafana.generator", description="Write the dashboards of Grafana as JSON.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where a file would change")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.check:
        found = differences(arguments.folder)
        for sentence in found:
            sys.stderr.write(f"{sentence}: run python -m grafana.generator\n")
        return 1 if found else 0
    arguments.folder.mkdir(exist_ok=True)
    for dashboard in all_dashboards():
        (arguments.folder / f"{dashboard.name}.json").write_text(dashboard.as_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
