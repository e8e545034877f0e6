"""Rules of the house that a reader would otherwise have to remember."""

import os
import re
import socket
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {  # and the extras in each, as in `make lock`
    "requirements.lock": tuple(PROJECT["optional-dependencies"]),
    "requirements-run.lock": ("install", "postgres"),
}


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / lock).read_text(), re.MULTILINE))


def requirements(*extras: str) -> list[Requirement]:
    texts = [*PROJECT["dependencies"]]
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_works_with_any_mirror(lock: str) -> None:
    assert not re.findall(r".*(?:://|index-url|find-links|trusted-host).*", (ROOT / lock).read_text())


@pytest.mark.parametrize(("lock", "extras"), LOCKS.items())
def test_a_lock_holds_what_the_project_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    pinned = pins(lock)
    for requirement in requirements(*extras):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version, f"{requirement} is not in {lock}: make lock"
        assert requirement.specifier.contains(version), f"{requirement}, but {lock} has {version}: make lock"


def test_the_run_lock_is_a_part_of_the_whole() -> None:
    assert pins("requirements-run.lock").items() <= pins("requirements.lock").items()


def test_no_file_names_a_registry_or_somebodys_machine() -> None:
    # In pieces, or this file would be the first to be found.
    needles = ["/" + "work/", "/" + "root/", "pypi" + ".org", "python" + "hosted.", "npm" + "js.", "crates" + ".io"]
    needles += ["proxy.go" + "lang", "deb.deb" + "ian", "maven" + ".org"]
    wanted = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, needles)) + ")")
    found = []
    for path in repository_files():
        text = (ROOT / path).read_bytes().decode(errors="replace")
        found += [f"{path}: {hit}" for hit in wanted.findall(text)]
    assert not found


def repository_files() -> list[str]:
    """Tracked files, and those about to be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for path in listed.split("\0") if path and (ROOT / path).is_file()]


def test_ci_runs_what_a_developer_runs() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert {"make check", "make test"} <= set(re.findall(r"^make \w+", script.read_text(), re.MULTILINE))


def test_a_test_cannot_reach_the_network() -> None:
    with socket.socket() as stranger, pytest.raises(RuntimeError, match="only this machine"):
        stranger.connect(("192.0.2.1", 80))  # TEST-NET-1, RFC 5737: nobody's address


def test_a_test_can_reach_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
