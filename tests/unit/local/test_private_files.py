"""Files and folders for one user alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapekeeper.errors import ConfigInvalid
from tapekeeper.local.private_files import private_folder, read_json, short_mark, write_private


def test_a_folder_is_made_with_the_folders_above_it_and_is_ours_alone(tmp_path: Path) -> None:
    made = private_folder(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_was_open_is_closed(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    assert private_folder(tmp_path / "open").stat().st_mode & 0o777 == 0o700


def test_a_name_that_somebody_else_has_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigInvalid, match="link belongs to somebody else or is no folder: move it away"):
        private_folder(tmp_path / "link")
    (tmp_path / "theirs").mkdir()
    with pytest.raises(ConfigInvalid, match="theirs belongs to somebody else"):
        private_folder(tmp_path / "theirs", owner=os.geteuid() + 1)


def test_a_folder_that_cannot_be_made_says_where_and_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigInvalid, match=r"file/below cannot be made \(.+\): the folder above must be writable"):
        private_folder(tmp_path / "file" / "below")


def test_a_file_is_ours_alone_whatever_the_umask_and_is_replaced_whole(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", "first, and longer")
        write_private(tmp_path / "secret", "second")
    finally:
        os.umask(before)
    assert (tmp_path / "secret").read_text() == "second"
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="nowhere/secret cannot be written"):
        write_private(tmp_path / "nowhere" / "secret", "text")


def test_json_is_read_and_anything_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    assert read_json(file) == {}
    file.write_text('{"port": 5}')
    assert read_json(file) == {"port": 5}
    for wrong in ("{", "[]"):
        file.write_text(wrong)
        with pytest.raises(ConfigInvalid, match=r"state\.json .*move it away"):
            read_json(file)


def test_a_mark_is_short_and_belongs_to_one_path(tmp_path: Path) -> None:
    assert len(short_mark(tmp_path)) == 12
    assert short_mark(tmp_path) == short_mark(tmp_path / "x" / "..")
    assert short_mark(tmp_path) != short_mark(tmp_path / "x")
