"""python-scim's own checker and command-line client against us: what others will reach for first."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import Status, check_server

from tests.running import House, serve

CHECKS = 135
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("group_patch_status", [204, 200])
def test_every_check_of_the_tester_succeeds(house: House, group_patch_status: int) -> None:
    token = house.client(group_patch_status=group_patch_status).token
    client = WSGISCIMClient(
        house.app.wsgi_app, base_url="http://localhost/scim/v2", headers={"Authorization": f"Bearer {token}"}
    )
    results = check_server(client)
    assert [each for each in results if each.status is not Status.SUCCESS] == []
    assert len(results) == CHECKS  # fewer would mean that a feature was taken for unsupported


@pytest.fixture(scope="module")
def scim2(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The ``scim2`` program, pointed at the real server as the README does it."""
    with serve(module_database_url, tmp_path_factory.mktemp("server")) as running:
        environment = {"SCIM_CLI_URL": running.scim, "SCIM_CLI_HEADERS": f"Authorization: Bearer {running.token}"}

        def run(*arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
            command = [str(Path(sys.executable).with_name("scim2")), *arguments]
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=check)

        yield run


def shown(answer: subprocess.CompletedProcess[str]) -> Any:
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_the_command_line_checker_passes(scim2: Run) -> None:
    answer = scim2("test")
    assert (answer.returncode, "ERROR" in answer.stdout) == (0, False), answer.stdout
    assert answer.stdout.count("SUCCESS") == CHECKS


def test_the_command_line_client_creates_finds_changes_and_deletes(scim2: Run) -> None:
    made = shown(scim2("create", "user", "--user-name", "grace@example.com", "--display-name", "Grace Hopper"))
    user = made["id"]
    assert shown(scim2("search", "--filter", 'displayName sw "grace"'))["Resources"] == [made]
    assert shown(scim2("query", "user", user)) == made
    assert shown(scim2("modify", "user", user, "replace", "active", "false"))["active"] is False
    group = shown(scim2("create", "group", "--display-name", "Crew"))["id"]
    scim2("modify", "group", group, "add", "members", json.dumps([{"value": user}]), check=True)
    assert [each["value"] for each in shown(scim2("query", "group", group))["members"]] == [user]
    scim2("delete", "user", user, check=True)
    assert json.loads(scim2("query", "user", user).stdout)["status"] == "404"
