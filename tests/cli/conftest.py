"""The program in this process: quick, and nothing it does may end in a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scim_server.cli import main


class Program:
    """``scim-server`` with the settings of one environment."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def __call__(self, *arguments: str, **settings: str) -> Result:
        given = self.environment | {f"SCIM_SERVER_{name.upper()}": value for name, value in settings.items()}
        result = CliRunner().invoke(main, arguments, env=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *arguments: str) -> Any:
        """What a command that succeeds answers in JSON."""
        result = self(*arguments, "--json")
        assert (result.exit_code, result.stderr) == (0, "")
        return json.loads(result.stdout)

    def refused(self, code: int, *arguments: str, **settings: str) -> str:
        """The one line that a command which fails leaves on stderr; stdout stays empty."""
        result = self(*arguments, **settings)
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        assert result.stderr.startswith("scim-server: ")
        return result.stderr.removeprefix("scim-server: ").removesuffix("\n")


@pytest.fixture
def program(database_url: str, tmp_path: Path) -> Program:
    return Program({"SCIM_SERVER_DATABASE_URL": database_url, "SCIM_SERVER_DATA_DIR": str(tmp_path)})


@pytest.fixture
def sqlite(sqlite_template: Path, tmp_path: Path) -> Program:
    """For commands to which the database is no matter."""
    (tmp_path / "scim-server.db").write_bytes(sqlite_template.read_bytes())
    return Program({"SCIM_SERVER_DATA_DIR": str(tmp_path)})


@pytest.fixture
def unsettled(tmp_path: Path) -> Callable[..., Program]:
    """A program with settings of the test's own."""
    return lambda **settings: Program(
        {"SCIM_SERVER_DATA_DIR": str(tmp_path), **{f"SCIM_SERVER_{name.upper()}": v for name, v in settings.items()}}
    )
