"""Every filter finds the same resources in SQL, in memory and for scim2-models (RFC 7644 §3.4.2.2)."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from scim2_models import InvalidFilterException, Path, ScimFilter

from scim_server.protocol.errors import InvalidFilter
from scim_server.protocol.schemas import ENTERPRISE, GROUP, RESOURCE_TYPES, USER, ResourceType
from tests.oracles.expressions import any_of, comparison, filters_for, joined, leaves, value_path
from tests.oracles.models import MODELS
from tests.oracles.population import EMPTIED, Population, populated


@pytest.fixture(scope="module")
def everybody(module_database_url: str) -> Iterator[Population]:
    with populated(module_database_url) as population:
        yield population


def agree(everybody: Population, kind: ResourceType, text: str) -> None:
    expected = everybody.by_scim2(kind, text)
    assert everybody.by_sql(kind, text) == expected
    assert everybody.in_memory(kind, text) == expected


@settings(max_examples=2_000, deadline=None, derandomize=True)
@given(text=filters_for(USER))
@example(text="not (emails pr)")  # found once: an entry of nothing but empty text is not present
@example(text=f"{ENTERPRISE}:manager.displayName pr")  # found once: it is not the displayName of the person
def test_any_filter_on_users_finds_whom_the_library_finds(everybody: Population, text: str) -> None:
    agree(everybody, USER, text)


_GROUPS = USER.attributes["groups"]
_IN_GROUPS = any_of([value_path(USER, _GROUPS), *(comparison(USER, leaf) for leaf in _GROUPS.subs.values())])


@settings(max_examples=600, deadline=None, derandomize=True)
@given(text=joined(_IN_GROUPS))
def test_any_filter_on_the_groups_of_users_sees_what_is_served(everybody: Population, text: str) -> None:
    agree(everybody, USER, text)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(text=filters_for(GROUP))
def test_any_filter_on_groups_finds_which_the_library_finds(everybody: Population, text: str) -> None:
    agree(everybody, GROUP, text)


@pytest.mark.parametrize("kind", RESOURCE_TYPES.values(), ids=RESOURCE_TYPES)
def test_both_tables_say_the_same_of_letter_case_and_number_of_values(kind: ResourceType) -> None:
    for leaf in leaves(kind):
        binding = Path[MODELS[kind.name]](leaf.path).resolve()
        if leaf.path != "meta.location":  # see models.key
            assert (leaf.path, binding.case_exact) == (leaf.path, leaf.case_exact)
        assert (leaf.path, binding.is_multivalued) == (leaf.path, (leaf.parent or leaf).multi_valued)


@pytest.mark.parametrize(
    "text",
    [
        "active gt true", 'active co "t"', 'emails.primary sw "t"', 'x509Certificates.value gt "QWRh"', "userName eq 5",
        'userName[value eq "x"]', 'name[givenName eq "x"]', 'meta.created eq "yesterday"', 'active eq "perhaps"',
        "meta.lastModified ge true",
    ],
)  # fmt: skip
def test_what_the_schema_does_not_allow_both_refuse(everybody: Population, text: str) -> None:
    with pytest.raises(InvalidFilter):
        everybody.by_sql(USER, text)
    with pytest.raises(InvalidFilterException):
        everybody.by_scim2(USER, text)


@pytest.mark.parametrize(
    "text",
    [
        'name eq "Ada"', 'addresses co "Ada"', "meta ne null",  # no sub-attribute is the value: nothing to compare
        'unknown eq "x"', "emails.unknown pr", 'emails[unknown eq "x"]',  # a typing error must not look like nobody
        'password eq "x"', "password pr",  # each answer would tell something of it
        'active eq "yes"', "active eq 1", "emails[primary eq 0]",  # neither true nor false
    ],
)  # fmt: skip
def test_we_refuse_what_the_library_answers(everybody: Population, text: str) -> None:
    with pytest.raises(InvalidFilter):
        everybody.by_sql(USER, text)
    everybody.by_scim2(USER, text)


def test_a_manager_is_compared_by_id_where_the_library_finds_nobody(everybody: Population) -> None:
    manager = f"{ENTERPRISE}:manager"  # Entra's: manager eq "<id>"
    found = everybody.by_sql(USER, f'{manager} eq "nobody"')
    assert found == everybody.in_memory(USER, f'{manager} eq "nobody"')
    assert found == everybody.by_scim2(USER, f'{manager}.value eq "nobody"') != set()
    assert not everybody.by_scim2(USER, f'{manager} eq "nobody"')


@pytest.mark.parametrize("name", EMPTIED[:4])
def test_null_equals_an_empty_text_as_not_pr_does_and_not_for_the_library(everybody: Population, name: str) -> None:
    found = everybody.by_sql(USER, f"{name} eq null")
    assert found == everybody.in_memory(USER, f"{name} eq null") == everybody.by_sql(USER, f"not ({name} pr)")
    assert found > everybody.by_scim2(USER, f"{name} eq null")


def test_a_version_is_compared_without_the_digest_of_the_groups(everybody: Population) -> None:
    for user_id, shown in everybody.served["User"].items():
        assert user_id in everybody.by_sql(USER, "meta.version eq " + ScimFilter.quote(shown["meta"]["version"]))
