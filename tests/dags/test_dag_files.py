"""DAG files declare and never compute, and Airflow can read all of them."""

from __future__ import annotations

import ast
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.airflow_home import DAGS

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(DAGS.glob("*.py"))


@pytest.fixture(scope="module")
def bag(airflow_metadata: None) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(DAGS)


def test_every_file_holds_the_one_dag_that_it_is_named_after(bag: Any) -> None:
    assert bag.import_errors == {}
    assert {dag_id: dag.fileloc for dag_id, dag in bag.dags.items()} == {file.stem: str(file) for file in FILES}


def test_every_dag_says_what_it_does_and_whose_it_is(bag: Any) -> None:
    for dag in bag.dags.values():
        assert dag.doc_md
        assert dag.description
        assert dag.tags
        assert not dag.catchup
        assert {task.owner for task in dag.tasks} == {"tapekeeper"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_only_declares(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    computing = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Try, ast.With)
    assert not [node for node in ast.walk(tree) if isinstance(node, computing)]
    imported = {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    assert imported <= {"tapekeeper", "tapekeeper_airflow", "airflow"}
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_name_shadows_no_library(file: Path) -> None:
    # Airflow puts the folder on sys.path, so `binance.py` would be found instead of the package.
    assert importlib.util.find_spec(file.stem) is None
