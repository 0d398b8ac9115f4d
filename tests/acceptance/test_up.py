"""`up` asks the venue that the settings name; here a simulator takes the place of the live one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tapekeeper.local.clean import clean
from tests.support.simulator import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.simulator import Simulator

# A folder of its own: what `make up` keeps in this clone may be real data.
UP = """
import sys
from pathlib import Path
from tapekeeper.local.demo import DemoOptions, run_demo
sys.exit(run_demo(DemoOptions(live=True, days=1, exit_when_done=True, as_json=True, clone=Path(sys.argv[1]))))
"""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    for part in ("collector", "dags", "plugins", "prometheus", "simulator"):
        (tmp_path / part).symlink_to(PROJECT / part)
    yield tmp_path
    clean(tmp_path / ".tapekeeper")


def run_up(clone: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", UP, str(clone)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_fills_from_the_venue_of_the_settings_and_starts_no_simulator(clone: Path, simulator: Simulator) -> None:
    stream = f"{simulator.base_url.replace('http', 'ws', 1)}/ws/api/v2"
    done = run_up(clone, TAPEKEEPER_DERIBIT_REST_URL=simulator.base_url, TAPEKEEPER_DERIBIT_WEBSOCKET_URL=stream)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["ok"] is True, done.stderr
    assert result["rows"] == result["expected"] == 2 * 24 * 60
    assert "not known of a live venue" in done.stderr
    assert not (clone / ".tapekeeper" / "up" / "logs" / "simulator.log").exists()


def test_a_setting_that_does_not_exist_is_refused_before_anything_starts(clone: Path) -> None:
    done = run_up(clone, TAPEKEEPER_DERIBIT_REST_ULR="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "did you mean TAPEKEEPER_DERIBIT_REST_URL?" in json.loads(done.stdout.splitlines()[-1])["error"]
    assert not (clone / ".tapekeeper" / "up" / "supervisord.conf").exists()


def test_outside_a_clone_it_says_where_to_go(tmp_path: Path) -> None:
    done = run_up(tmp_path)
    assert done.returncode == 1
    assert "is no clone of the project" in done.stderr
