"""The example messages of RFC 7643 and RFC 7644, one file per section, with ids that we give.

A file is a conversation in the format of ``tests.senders.replay``, played here without a network.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.running import BASE, Scim
from tests.senders.replay import Answer, Player

FILES = sorted(Path(__file__).parent.glob("*.json"))


class InProcess(Player):
    """Plays against the application itself."""

    def __init__(self, scim: Scim) -> None:
        super().__init__(BASE, str(scim.token))
        self.scim = Scim(scim.wsgi, None)  # its headers are the player's

    def send(self, method: str, target: str, headers: Mapping[str, str], data: bytes | None) -> Answer:
        path = target.removeprefix(self.parts.path)
        answer = self.scim.request(method, path, data, headers=headers)
        return Answer(answer.status, answer.headers, answer.body, 0)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_examples_of_a_section_work(scim: Scim, file: Path) -> None:
    InProcess(scim).play(json.loads(file.read_text()))


def test_every_section_with_examples_is_here() -> None:
    assert [file.stem for file in FILES] == [
        *(f"rfc7643-8.{number}" for number in range(1, 8)),
        *(f"rfc7644-3.{part}" for part in ("12", "14", "3", "4.2", "4.3", "5.1", "5.2.1", "5.2.2", "5.2.3", "6", "9")),
        "rfc7644-4",
    ]
