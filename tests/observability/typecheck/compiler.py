"""Grafana's schema and the TypeScript compiler, as package-lock.json pins them, and what the compiler says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.observability.typecheck.constants import Constant, constants

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.observability.lint.dashboard import Dashboard

_HERE: Final = Path(__file__).parent
_LOCKED: Final = ("package.json", "package-lock.json", ".npmrc")
_TOOLS: Final = Path(sys.executable).parent
_HEAD: Final = "import type * as S from './shapes';\n"
_TSCONFIG: Final = {
    "compilerOptions": {
        "strict": True,
        "noEmit": True,
        "skipLibCheck": True,
        "module": "esnext",
        "moduleResolution": "bundler",
        "target": "es2022",
        "types": [],
    },
    "include": ["*.ts"],
}
_ERROR: Final = re.compile(r"^(\w+)\.ts\((\d+),\d+\): error TS\d+: (.*(?:\n +.*)*)", re.MULTILINE)


_NETWORK: Final = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ECONN\w+|E?TIMEDOUT|ENETUNREACH|EHOSTUNREACH|E5\d\d)\b")


class RegistryAway(Exception):
    """npm could not fetch the packages; the message is npm's."""


def installed() -> Path:
    """Return the folder of the pinned packages, installed into the virtual environment when the lock is a new one.

    Raises:
        RegistryAway: they are not there, and the registry did not give them.
        RuntimeError: npm failed for another reason, such as a lock that does not fit; the message is npm's.
    """
    locked = b"".join((_HERE / name).read_bytes() for name in _LOCKED)
    folder = Path(sys.prefix) / "dashboard-types" / hashlib.sha256(locked).hexdigest()[:12]
    if folder.is_dir():
        return folder / "node_modules"
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        fresh = Path(name) / "fresh"
        fresh.mkdir()
        for file in _LOCKED:
            shutil.copy(_HERE / file, fresh)
        done = _run("npm", "ci", "--prefer-offline", cwd=fresh)
        if done.returncode:
            raise RegistryAway(done.stderr) if _NETWORK.search(done.stderr) else RuntimeError(done.stderr)
        if not folder.exists():  # somebody else may have been quicker
            fresh.rename(folder)
    return folder / "node_modules"


def complaints(dashboards: Mapping[str, Dashboard], folder: Path) -> dict[str, list[str]]:
    """Return what the compiler says about each dashboard, all of them in one run.

    Args:
        dashboards: by a name of letters, digits and underscores.
        folder: an empty one to write into.

    Raises:
        RuntimeError: it complains about something that is no dashboard.
    """
    (folder / "node_modules").symlink_to(installed())
    (folder / "tsconfig.json").write_text(json.dumps(_TSCONFIG), encoding="utf-8")
    shutil.copy(_HERE / "shapes.ts", folder)
    parts = {name: list(constants(dashboard)) for name, dashboard in dashboards.items()}
    lines = {name: _write(folder / f"{name}.ts", told) for name, told in parts.items()}
    done = _run("node", "node_modules/typescript/bin/tsc", "--pretty", "false", cwd=folder)
    found: dict[str, list[str]] = {name: [] for name in dashboards}
    for name, line, message in _ERROR.findall(done.stdout):
        if name not in parts:
            raise RuntimeError(done.stdout)
        part = parts[name][bisect_right(lines[name], int(line)) - 1]
        found[name].append(f"{part.where}: {message}")
    if done.returncode and not any(found.values()):
        raise RuntimeError(done.stdout + done.stderr)
    return found


def _write(file: Path, parts: list[Constant]) -> list[int]:
    """Write a file and return the line on which each part begins."""
    text, begins = _HEAD, []
    for number, part in enumerate(parts):
        begins.append(text.count("\n") + 1)
        text += part.as_typescript(number)
    file.write_text(text, encoding="utf-8")
    return begins


def _run(program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Node's tools of this virtual environment, which find each other by PATH."""
    environment = os.environ | {"PATH": f"{_TOOLS}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [_TOOLS / program, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
