"""The DAGs served from a Git repository, as ARCHITECTURE.md describes it: a run keeps the commit that it began with."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.airflow_home import DAGS

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = ["-c", "user.name=tape", "-c", "user.email=tape@example.com"]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    shutil.copytree(DAGS, folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=DAGs")
    return folder


def bundle(repository: Path, version: str | None = None) -> Any:
    from airflow.providers.git.bundles.git import GitDagBundle

    found = GitDagBundle(
        name=f"tapekeeper-{repository.parent.name}",
        repo_url=str(repository),
        tracking_ref="main",
        subdir="dags",
        version=version,
    )
    found.initialize()
    if version is None:
        found.refresh()
    return found


def dag_ids(path: Path) -> set[str]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(path)
    assert bag.import_errors == {}
    return set(bag.dags)


def test_a_git_bundle_serves_the_same_dags(airflow_metadata: None, repository: Path) -> None:
    found = bundle(repository)
    assert dag_ids(found.path) == {file.stem for file in DAGS.glob("*.py")}
    assert found.get_current_version().version == git(repository, "rev-parse", "HEAD")


def test_a_run_stays_with_its_commit_while_the_branch_moves_on(airflow_metadata: None, repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "rm", "--quiet", "dags/deribit_perpetual_candles_live.py")
    git(repository, "commit", "--quiet", "--message=One DAG less")
    assert dag_ids(bundle(repository).path) == {file.stem for file in DAGS.glob("*.py")} - {
        "deribit_perpetual_candles_live"
    }
    assert "deribit_perpetual_candles_live" in dag_ids(bundle(repository, version=first).path)
