"""A provider that lies when it is told to, made once for a module and honest again for each test."""

from collections.abc import Iterator

import pytest

from tests.idp.hostile import HostileProvider


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[HostileProvider]:
    with HostileProvider() as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: HostileProvider) -> Iterator[HostileProvider]:
    shared_provider.reset()
    yield shared_provider
    shared_provider.reset()
