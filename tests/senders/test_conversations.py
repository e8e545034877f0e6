"""What identity providers really send, played against the running program with nothing configured.

Each JSON file beside this one is a list of conversations in the format that ``replay`` describes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scim_server.limits import Limits
from scim_server.protocol import discovery
from tests.running import serve
from tests.senders.replay import Player

FILES = {"vectors.json": 139, "more.json": 158}
LEFT_OUT = 8
CONFIG = discovery.service_provider_config(Limits())


def supported(conversation: dict[str, Any]) -> bool:
    """Whether ServiceProviderConfig has what the conversation requires."""
    return all(CONFIG[feature]["supported"] for feature in conversation.get("requires", ()))


RECORDED = {name: json.loads(Path(__file__).with_name(name).read_text()) for name in FILES}
EVERY = [each for conversations in RECORDED.values() for each in conversations]
PLAYED = [pytest.param(each, id=f"{each['client']}: {each['name']}") for each in EVERY if supported(each)]


@pytest.fixture(scope="module")
def player(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    with serve(module_database_url, tmp_path_factory.mktemp("server")) as running:
        yield Player(running.scim, running.token)


@pytest.mark.parametrize("conversation", PLAYED)
def test_the_sender_gets_what_it_needs(player: Player, conversation: dict[str, Any]) -> None:
    player.play(conversation)


def test_every_conversation_is_there_and_played_unless_it_needs_bulk() -> None:
    assert {name: len(conversations) for name, conversations in RECORDED.items()} == FILES
    assert len(PLAYED) == len(EVERY) - LEFT_OUT
    assert all(each["requires"] == ["bulk"] for each in EVERY if not supported(each))


def test_names_of_conversations_are_their_own() -> None:
    names = [(each["client"], each["name"]) for each in EVERY]
    assert len(set(names)) == len(names)
