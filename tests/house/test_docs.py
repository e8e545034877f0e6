"""What the documentation must not forget: settings, deviations, commands, events, and links that lead somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from scim_server import config, telemetry
from scim_server.cli import main
from scim_server.directory.store import tables
from scim_server.protocol.senders import Deviation
from sso import discovery
from sso.errors import Sentence
from sso.routes import ROUTES

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DIRECTORY = ROOT / "scim_server/directory"
EVENT = re.compile(r"(?:user|group|membership|identity|session|token|break_glass)\.[a-z_]+")
CODE = [*sorted((ROOT / "sso").rglob("*.py")), *sorted(DIRECTORY.rglob("*.py"))]


def words(page: str) -> set[str]:
    """What stands between backquotes on a page of the reference."""
    return set(re.findall(r"`([^`\n]+)`", (REFERENCE / page).read_text()))


def test_every_setting_is_documented() -> None:
    described = {row["name"] for row in config.described(config.Settings())}
    assert described
    assert described <= words("settings.md")


def test_no_setting_is_documented_that_does_not_exist() -> None:
    known = {row["name"] for row in config.described(config.Settings())}
    for page in PAGES:
        if "decisions" in page.parts:
            continue  # a decision may be about a name of its time
        named = re.findall(r"\bSCIM_SERVER_[A-Z_]*[A-Z]\b", page.read_text())
        wrong = {name for name in named if name.removesuffix("_FILE") not in known} - {"SCIM_SERVER_PROT"}  # a mistake
        assert not wrong, f"{page.relative_to(ROOT)} names settings that do not exist"


def test_every_deviation_is_documented() -> None:
    assert {str(each) for each in Deviation} <= words("deviations.md")


def commands(group: click.Group, name: str = "scim-server") -> Iterator[str]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}"


def test_every_command_is_documented() -> None:
    headings = "\n".join(re.findall(r"^### .*", (REFERENCE / "cli.md").read_text(), re.MULTILINE))
    missing = [name for name in commands(main) if not re.search(rf"`{name}[ `]", headings)]
    assert not missing


def options(group: click.Group) -> Iterator[str]:
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from options(command)
        else:
            yield from (word for each in command.params if isinstance(each, click.Option) for word in each.opts)


def test_every_option_is_documented() -> None:
    text = (REFERENCE / "cli.md").read_text()
    assert not {name for name in options(main) if not re.search(rf"`{name}[ `]", text)}


def literals(node: ast.AST) -> set[str]:
    """All text that stands in a piece of code."""
    found = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    return {value for value in found if isinstance(value, str)}


def calls(module: Path, *names: str) -> Iterator[ast.Call]:
    """The calls of functions with these names, such as ``events.append``."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            yield node


def test_every_event_is_documented() -> None:
    told = [module for module in CODE if any(calls(module, "events.append"))]
    assert len(told) > 4
    events = {text for module in told for text in literals(ast.parse(module.read_text())) if EVENT.fullmatch(text)}
    assert events <= words("events-and-audit.md")


def test_every_action_of_the_audit_is_documented() -> None:
    actions = {text for module in CODE for call in calls(module, "audit.record") for text in literals(call.args[1])}
    assert {"user.created", "break_glass.on", "break_glass.off", "sso_connection.removed"} <= actions
    assert actions | {"login.refused", "sso.subject_mismatch"} <= words("events-and-audit.md")


def test_every_cause_of_an_end_is_documented() -> None:
    causes = {
        text
        for module in [*CODE, *sorted((ROOT / "scim_server/cli").glob("*.py"))]
        for call in calls(module, "ending.end")
        for text in literals(call.args[2])
    }
    assert "deactivated" in causes
    assert causes <= words("events-and-audit.md")


def test_every_line_of_the_log_is_documented() -> None:
    lines = {
        value.value
        for module in (ROOT / "scim_server").glob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "event" and isinstance(value, ast.Constant)
    }
    assert {"scim.request", "login", "mail.failed"} <= lines
    assert lines <= words("logs-and-metrics.md")


def test_every_metric_is_documented() -> None:
    suffix = {"counter": "_total"}
    metrics = {each.name + suffix.get(each.type, "") for each in telemetry._REGISTRY.collect()}
    assert "scim_server_logins_total" in metrics
    assert metrics <= words("logs-and-metrics.md")


def test_every_table_and_column_is_documented() -> None:
    known = words("database.md") | words("events-and-audit.md")
    for table in tables.metadata.sorted_tables:
        assert {table.name, *(each.name for each in table.columns)} <= known


def test_every_path_of_the_login_is_documented() -> None:
    assert {f"{each.method} {each.path}" for each in ROUTES} == {
        text for text in words("login-paths.md") if re.match(r"(GET|POST) /", text)
    }


# What a reason is built of where it is no literal; anything else that is none has to be looked at by a person.
BUILT = {
    "name": {"exp", "iat", "nbf", "auth_time", "sub", "sid"},  # claims.number, check_logout_token
    "f'{name}_missing'": {f"{name}_missing" for name in discovery._ENDPOINTS},
    "f'{what}_not_json'": {"header_not_json", "claims_not_json"},
    "_error()": {"error"},  # or the provider's own word
    "error.reason": set(),
    "error.category": set(),
}
REASONS = {"LoginRefused": 1, "BadToken": 0, "KeyNotFound": 0, "NoAccount": 0, "NotLetIn": 0, "ProviderUnreachable": 0}
DOUBTS = {"_doubt", "_untrusted", "_primary", "_entra", "of_github"}


def reasons() -> set[str]:
    """Every word that the login log may give for a refusal."""
    found = {"email_unproven", "throttled"}
    for module in CODE:
        for name, at in REASONS.items():
            for call in calls(module, name):
                reason = call.args[at]
                branches = [reason.body, reason.orelse] if isinstance(reason, ast.IfExp) else [reason]
                for each in branches:
                    text = ast.unparse(each)
                    assert text in BUILT or literals(each), f"{module.name}: what is {text}?"
                    found |= BUILT.get(text, literals(each))
        for call in calls(module, "_note"):
            found |= literals(call.args[-1]) if module.name == "local.py" else set()
    return found | doubts()


def doubts() -> set[str]:
    """What may speak against an address."""
    functions = [
        node
        for node in ast.parse((ROOT / "sso/identity.py").read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name in DOUBTS
    ]
    assert len(functions) == len(DOUBTS)
    given = {
        text
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Return | ast.Assign | ast.Tuple | ast.IfExp)
        for text in literals(node)
    }
    return {text for text in given if re.fullmatch(r"(no|email|not|noreply)_[a-z_]+|guest", text)} - {"email_verified"}


def explained() -> set[str]:
    """The reasons in the first column of the tables of a step."""
    text = (REFERENCE / "login-errors.md").read_text().partition("## By step")[2]
    firsts = re.findall(r"^\| ((?:`[a-z0-9_]+`(?:, )?)+) \|", text, re.MULTILINE)
    return {word for first in firsts for word in re.findall(r"`([a-z0-9_]+)`", first)}


def test_every_reason_of_a_refused_login_is_explained_and_nothing_else() -> None:
    assert explained() == reasons()


def test_every_step_of_a_login_is_explained() -> None:
    steps = {text for module in CODE for call in calls(module, "LoginRefused") for text in literals(call.args[0])}
    steps |= {"discovery", "keys", "exchange", "userinfo", "user", "emails", "password"}
    headings = re.findall(r"^### (.*)", (REFERENCE / "login-errors.md").read_text(), re.MULTILINE)
    assert steps - {"page", "form", "connection", "network"} == {
        word for heading in headings for word in re.findall(r"`(\w+)`", heading)
    }


def test_every_sentence_for_visitors_is_explained() -> None:
    text = (REFERENCE / "login-errors.md").read_text()
    assert not {each.title for each in Sentence if f"| {each.title} | {each.status} |" not in text}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        aim = (page.parent / path).resolve() if path else page
        assert aim.is_file(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(aim), f"{target}: no such heading"


def anchors(page: Path) -> set[str]:
    """The anchors that a forge gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_is_on_the_map() -> None:
    index = ROOT / "docs/index.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", index.read_text())}
    pages = {page for page in PAGES if page.is_relative_to(ROOT / "docs") and "decisions" not in page.parts}
    assert pages - {index} <= linked


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "README.md" and "decisions" not in page.parts],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_page_begins_with_what_the_reader_will_have(page: Path) -> None:
    title, blank, first = page.read_text().split("\n")[:3]
    assert title.startswith("# ")
    assert not blank
    assert first.startswith("At the end of this page ")
