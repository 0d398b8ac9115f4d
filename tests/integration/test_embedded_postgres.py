"""The embedded server, with every server program of this machine, started, killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg2
import pytest

from tapekeeper.errors import ConfigInvalid, DatabaseUnavailable
from tapekeeper.local.binaries import AUTO, WHEEL, find_binaries
from tapekeeper.local.postgresql import EmbeddedPostgres, remove_data
from tapekeeper.local.private_files import private_folder as private_folder_at

if TYPE_CHECKING:
    from collections.abc import Iterator

RELAXED = {"fsync": "off"}


def ask(url: str, query: str) -> str:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    assert row is not None
    return str(row[0])


def execute(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def postmaster(server: EmbeddedPostgres) -> psutil.Process:
    return psutil.Process(int((server.data / "postmaster.pid").read_text().splitlines()[0]))


@pytest.fixture
def private_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that no other user can look into, as a clone in root's home is."""
    folder = tmp_path / "private" / "state"
    folder.parent.mkdir(mode=0o700)
    yield folder
    remove_data(folder)


@pytest.mark.parametrize("binaries", [AUTO, WHEEL])
def test_starts_with_a_password_and_keeps_its_data(private_folder: Path, binaries: str) -> None:
    with EmbeddedPostgres(private_folder, binaries=binaries, options=RELAXED) as server:
        first_url = server.url()
        execute(first_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert ask(first_url, "SHOW server_encoding") == "UTF8"
        assert ask(first_url, "SHOW listen_addresses") == "127.0.0.1"
        assert ask(first_url, "SHOW timezone") == "UTC"
        assert server.data.stat().st_mode & 0o077 == 0
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(first_url.replace(server.url().split(":")[2].split("@")[0], "guessed"))
    with EmbeddedPostgres(private_folder, binaries=binaries, options=RELAXED) as server:
        assert server.url() == first_url
        assert ask(server.url(), "SELECT answer FROM kept") == "42"


def test_root_never_runs_the_server_itself(private_folder: Path) -> None:
    with EmbeddedPostgres(private_folder, options=RELAXED) as server:
        assert postmaster(server).uids().effective != 0
        assert (server.user is None) == (os.geteuid() != 0)


def test_the_wheel_works_from_a_folder_that_only_we_can_look_into(private_folder: Path) -> None:
    # As root the server runs as another user, so its programs have to move to where that user can reach them.
    binaries = find_binaries(WHEEL).copied_to(private_folder.parent / "site-packages")
    with EmbeddedPostgres(private_folder, binaries=str(binaries.folder), options=RELAXED) as server:
        assert ask(server.url(), "SELECT 1") == "1"
        assert (server.user is None) == Path(postmaster(server).exe()).is_relative_to(private_folder.parent)


def test_stop_leaves_no_process_and_no_listener(private_folder: Path) -> None:
    with EmbeddedPostgres(private_folder, options=RELAXED) as server:
        serving = [postmaster(server), *postmaster(server).children(recursive=True)]
        port = server.port
    assert not [process for process in serving if process.is_running()]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_taken_port_is_chosen_again(private_folder: Path) -> None:
    with EmbeddedPostgres(private_folder, options=RELAXED) as server:
        taken = server.port
    with socket.create_server(("127.0.0.1", taken)), EmbeddedPostgres(private_folder, options=RELAXED) as server:
        assert server.port != taken
        assert ask(server.url(), "SELECT 1") == "1"


def test_starts_again_after_kill_9(private_folder: Path) -> None:
    server = EmbeddedPostgres(private_folder, options=RELAXED)
    server.start()
    execute(server.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    postmaster(server).send_signal(signal.SIGKILL)
    server.stop()
    assert (server.data / "postmaster.pid").exists()
    with EmbeddedPostgres(private_folder, options=RELAXED) as again:
        assert ask(again.url(), "SELECT answer FROM kept") == "42"


def test_a_stale_process_id_that_lives_on_as_another_process_does_not_matter(private_folder: Path) -> None:
    with EmbeddedPostgres(private_folder, options=RELAXED) as server:
        stale = (server.data / "postmaster.pid").read_text().splitlines()
    with subprocess.Popen(["sleep", "600"], user=server.user.pw_uid if server.user else None) as other:
        try:
            (server.data / "postmaster.pid").write_text("\n".join([str(other.pid), *stale[1:]]) + "\n")
            with EmbeddedPostgres(private_folder, options=RELAXED) as again:
                assert ask(again.url(), "SELECT 1") == "1"
        finally:
            other.kill()


def test_the_server_ends_when_the_process_that_started_it_is_killed(private_folder: Path) -> None:
    program = (
        "import sys, pathlib; from tapekeeper.local.postgresql import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(pathlib.Path(sys.argv[1])); server.start(); print(server.data, flush=True)\n"
        "sys.stdin.read()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program, str(private_folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with starter:
        assert starter.stdout is not None
        data = Path(starter.stdout.readline().strip())
        server = psutil.Process(int((data / "postmaster.pid").read_text().splitlines()[0]))
        starter.kill()
        server.wait(timeout=60)


def test_data_of_another_major_version_are_not_touched(private_folder: Path) -> None:
    with EmbeddedPostgres(private_folder, options=RELAXED) as server:
        data = server.data
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(ConfigInvalid, match=r"PostgreSQL 9 .*found: .*make clean"):
        EmbeddedPostgres(private_folder, options=RELAXED)
    (data / "PG_VERSION").write_text(f"{server.version}\n")


def test_a_server_that_ends_at_its_start_shows_its_log(private_folder: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"(?s)postgresql\.log.*no_such_setting"):
        EmbeddedPostgres(private_folder, options={"no_such_setting": "1"}).start()


def test_a_folder_that_is_none_or_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for taken in ("file", "link"):
        with pytest.raises(ConfigInvalid, match=f"{taken} belongs to somebody else"):
            private_folder_at(tmp_path / taken)


def test_binaries_of_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="extra `local`"):
        find_binaries(str(tmp_path))
