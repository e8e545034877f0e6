"""What the documentation must not forget: settings, deviations, commands, events, and links that lead somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from scim_server import config
from scim_server.cli import main
from scim_server.protocol.senders import Deviation

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EVENT = re.compile(r"(?:user|group|membership)\.[a-z]+")


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


@pytest.mark.parametrize("module", ["users", "groups"])
def test_every_event_is_documented(module: str) -> None:
    tree = ast.parse((ROOT / f"scim_server/directory/{module}.py").read_text())
    literals = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    events = {text for text in literals if EVENT.fullmatch(text)}
    assert events
    assert events <= words("events-and-audit.md")


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
