"""Settings: read once, checked, each error one line that names the setting and what would do."""

import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scim_server import config
from scim_server.config import ConfigError, Settings, load
from scim_server.limits import Limits

REFERENCE = Path(__file__).parents[1] / "docs/reference/settings.md"


def refused(**environment: str) -> str:
    with pytest.raises(ConfigError) as told:
        load({f"SCIM_SERVER_{name}": value for name, value in environment.items()})
    return str(told.value)


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = load({})
    assert settings == Settings()
    assert settings.limits == Limits()
    assert settings.database == "sqlite:///var/scim-server.db"
    assert set(settings.origins.values()) == {"default"}


def test_other_programs_variables_are_no_business_of_ours() -> None:
    assert load({"PATH": "/bin", "SCIM_TEST_POSTGRES": "x", "DATABASE_URL": "y"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("data_dir", "/srv/scim", Path("/srv/scim")),
        ("database_url", "postgresql://db/scim", "postgresql://db/scim"),
        ("base_url", "https://accounts.example.com/x/", "https://accounts.example.com/x"),
        ("host", "::1", "::1"),
        ("port", "443", 443),
        ("workers", "8", 8),
        ("sqlite_synchronous", "NORMAL", "NORMAL"),
        ("page_max", "500", 500),
    ],
)
def test_a_setting_is_read_and_its_origin_kept(name: str, value: str, expected: Any) -> None:
    settings = load({f"SCIM_SERVER_{name.upper()}": value})
    assert getattr(settings, name) == expected
    assert settings.origins[name] == f"environment SCIM_SERVER_{name.upper()}"


def test_the_database_lies_in_the_data_folder_unless_it_is_named() -> None:
    assert load({"SCIM_SERVER_DATA_DIR": "/srv"}).database == "sqlite:////srv/scim-server.db"
    assert load({"SCIM_SERVER_DATA_DIR": "/srv", "SCIM_SERVER_DATABASE_URL": "sqlite:///x"}).database == "sqlite:///x"


@pytest.mark.parametrize("value", ["", "0", "65536", "-1", "+1", " 1", "1.0", "٣", "9" * 5000])
def test_a_number_out_of_range_is_told_with_the_range(value: str) -> None:
    assert refused(PORT=value) == "SCIM_SERVER_PORT must be a whole number from 1 to 65535"


@pytest.mark.parametrize(
    "value", ["accounts.example.com", "ftp://x", "https://", "https://:443", "http://[", "http://x:y", "http://x?a", ""]
)
def test_a_base_url_must_be_one(value: str) -> None:
    assert refused(BASE_URL=value) == "SCIM_SERVER_BASE_URL must be a URL such as https://accounts.example.com"


@pytest.mark.parametrize(
    "value", ["mail.example.com", "https://mail.example.com", "smtp://", "smtp://[", "smtp://x:y", ""]
)
def test_a_mail_server_is_named_by_a_url(value: str) -> None:
    assert (
        refused(SMTP_URL=value)
        == "SCIM_SERVER_SMTP_URL must be a URL such as smtp://user:password@mail.example.com:587"
    )


def test_a_key_that_could_be_guessed_is_refused_with_a_way_to_make_one() -> None:
    told = "SCIM_SERVER_SECRET_KEY must have at least 32 characters; make one with: openssl rand -hex 32"
    assert refused(SECRET_KEY="x" * 31) == told
    assert load({"SCIM_SERVER_SECRET_KEY": "x" * 32}).secret_key == "x" * 32


def test_networks_are_listed_by_comma_and_shown_as_they_are() -> None:
    settings = load({"SCIM_SERVER_PROVIDER_NETWORKS": "10.0.0.0/8, ::1/128,192.168.1.7"})
    shown = {row["name"]: row["value"] for row in config.described(settings)}
    assert shown["SCIM_SERVER_PROVIDER_NETWORKS"] == "10.0.0.0/8, ::1/128, 192.168.1.7/32"
    assert load({"SCIM_SERVER_PROVIDER_NETWORKS": ""}).provider_networks == ()


@pytest.mark.parametrize("value", ["10.0.0.1/8", "example.com", "10.0.0.0/33"])
def test_what_is_no_network_is_told_by_name(value: str) -> None:
    told = refused(PROVIDER_NETWORKS=f"192.168.0.0/16, {value}")
    assert told.startswith(f"SCIM_SERVER_PROVIDER_NETWORKS must list networks by comma: '{value}' is ")
    assert "10.0.0.0/8" in told, "it shows one"


def test_the_servers_key_is_the_setting_or_one_made_once_that_nobody_else_reads(tmp_path: Path) -> None:
    given = load({"SCIM_SERVER_DATA_DIR": str(tmp_path / "unused"), "SCIM_SERVER_SECRET_KEY": "x" * 32})
    assert config.server_key(given) == "x" * 32
    assert not (tmp_path / "unused").exists()
    settings = load({"SCIM_SERVER_DATA_DIR": str(tmp_path / "data")})
    made = config.server_key(settings)
    assert len(made) == 64
    assert config.server_key(settings) == made
    assert stat.S_IMODE((tmp_path / "data/secret.key").stat().st_mode) == 0o600
    assert [each.name for each in (tmp_path / "data").iterdir()] == ["secret.key"]


def test_of_several_workers_that_make_the_key_at_once_one_does(tmp_path: Path) -> None:
    settings = load({"SCIM_SERVER_DATA_DIR": str(tmp_path)})
    asked = [
        subprocess.Popen([sys.executable, "-c", _ASK_FOR_KEY, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = {each.communicate()[0] for each in asked}
    assert told == {config.server_key(settings)}


_ASK_FOR_KEY = """
import sys
from scim_server.config import load, server_key
sys.stdout.write(server_key(load({"SCIM_SERVER_DATA_DIR": sys.argv[1]})))
"""


def test_a_key_that_cannot_be_made_is_one_line_that_names_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"^The key file \S+ cannot be used: .*\. See SCIM_SERVER_SECRET_KEY\.$"):
        config.server_key(load({"SCIM_SERVER_DATA_DIR": "/dev/null/x"}))


def test_one_of_several_values_is_told_with_all() -> None:
    assert refused(SQLITE_SYNCHRONOUS="OFF") == "SCIM_SERVER_SQLITE_SYNCHRONOUS must be one of FULL, NORMAL"


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    assert (
        refused(DATABSE_URL="x") == "SCIM_SERVER_DATABSE_URL is not a setting; did you mean SCIM_SERVER_DATABASE_URL?"
    )
    assert refused(ZZZ="x").startswith("SCIM_SERVER_ZZZ is not a setting")


def test_every_wrong_setting_is_told_in_a_line_of_its_own() -> None:
    assert [line.split()[0] for line in refused(PORT="x", WORKERS="y", NONSENSE="z").splitlines()] == [
        "SCIM_SERVER_NONSENSE",
        "SCIM_SERVER_PORT",
        "SCIM_SERVER_WORKERS",
    ]


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("p\u00e4ss\n", "utf-8")
    settings = load({"SCIM_SERVER_METRICS_TOKEN_FILE": str(tmp_path / "secret")})
    assert settings.metrics_token == "p\u00e4ss"
    assert settings.origins["metrics_token"] == f"file {tmp_path}/secret"


def test_a_file_that_cannot_be_read_is_told_by_name_and_not_by_content(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    name = "SCIM_SERVER_METRICS_TOKEN_FILE"
    assert refused(METRICS_TOKEN_FILE="/nowhere") == f"{name} cannot be read: No such file or directory"
    assert refused(METRICS_TOKEN_FILE=str(tmp_path)) == f"{name} cannot be read: Is a directory"
    assert refused(METRICS_TOKEN_FILE=str(tmp_path / "binary")) == f"{name} is not text in UTF-8"


def test_a_secret_comes_from_one_place() -> None:
    told = refused(SECRET_KEY="x" * 32, SECRET_KEY_FILE="/nowhere")
    assert told == "SCIM_SERVER_SECRET_KEY_FILE is set beside SCIM_SERVER_SECRET_KEY; set one of them"


def test_only_a_secret_may_come_from_a_file() -> None:
    assert refused(PORT_FILE="/nowhere").startswith("SCIM_SERVER_PORT_FILE is not a setting")


def test_settings_are_shown_without_their_secrets() -> None:
    values = {
        "DATABASE_URL": "hidden",
        "SECRET_KEY": "hidden" * 6,
        "SMTP_URL": "smtp://hidden",
        "METRICS_TOKEN": "hidden",
    }
    secrets = {f"SCIM_SERVER_{name}": value for name, value in values.items()}
    described = config.described(load({**secrets, "SCIM_SERVER_PORT": "80"}))
    assert "hidden" not in str(described)
    shown = {row["name"]: (row["value"], row["origin"]) for row in described}
    assert shown["SCIM_SERVER_SECRET_KEY"] == ("(set)", "environment SCIM_SERVER_SECRET_KEY")
    assert shown["SCIM_SERVER_PORT"] == ("80", "environment SCIM_SERVER_PORT")
    assert shown["SCIM_SERVER_HOST"] == ("127.0.0.1", "default")


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    with pytest.raises(AttributeError):
        load({}).port = 1  # type: ignore[misc]


def documented() -> dict[str, str]:
    """The settings in the reference, each with its default."""
    text = REFERENCE.read_text("utf-8")
    return dict(re.findall(r"^\| `(SCIM_SERVER_\w+)`[ *]*\| ([^|]*?) *\|", text, re.MULTILINE))


def test_every_setting_is_documented_and_nothing_else() -> None:
    assert set(documented()) == {row["name"] for row in config.described(Settings())}


@pytest.mark.parametrize("row", config.described(Settings()), ids=lambda row: row["name"])
def test_the_documented_default_is_the_one_in_force(row: dict[str, str]) -> None:
    default = documented()[row["name"]]
    assert default == f"`{row['value']}`" if row["value"] else "`" not in default.replace("`DATA_DIR`", "")
