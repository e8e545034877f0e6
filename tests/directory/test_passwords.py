"""Passwords: what is refused, what is kept, and that nobody's takes the same work as somebody's (sso.md section 5)."""

import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import argon2
import pytest
from hypothesis import given, settings, strategies as st
from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]

from scim_server.directory import passwords
from scim_server.directory.errors import Refused, Unavailable
from scim_server.directory.passwords import CRITERIA, LEAST, MOST, WeakPassword, check, hashed, matches, needs_rehash

GOOD = "a heron reads 9 maps"
ADA = ("ada.lovelace@example.com", "Ada Lovelace")
HALF_A_PAIR = "\ud83d"

any_text = st.text(st.characters(exclude_categories=()), max_size=40)  # halves of surrogate pairs too
LONGEST = "".join(chr(0x4E00 + 3 * n) for n in range(MOST))


def refusal(password: str, *about: str) -> str:
    with pytest.raises(WeakPassword) as refused:
        check(password, about=about)
    return str(refused.value)


class Verified:
    """Listens to argon2: every hash that a password is compared with, and the octets of the password."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, bytes]] = []
        real = argon2.PasswordHasher.verify

        def verify(hasher: argon2.PasswordHasher, kept: str, octets: bytes) -> bool:
            self.calls.append((kept, octets))
            return real(hasher, kept, octets)

        monkeypatch.setattr(argon2.PasswordHasher, "verify", verify)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Verified:
    return Verified(monkeypatch)


# What is kept


def test_kept_is_argon2id_as_owasp_wants_it() -> None:
    kept = hashed(GOOD)
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert GOOD not in kept
    assert kept != hashed(GOOD), "salted"


def test_only_the_same_password_fits() -> None:
    kept = hashed(GOOD)
    assert matches(kept, GOOD)
    for other in ("", GOOD.upper(), GOOD + " ", " " + GOOD, GOOD[:-1]):
        assert not matches(kept, other)


def test_nothing_is_cut_off() -> None:
    check(LONGEST)
    kept = hashed(LONGEST)
    assert matches(kept, LONGEST)
    assert not matches(kept, LONGEST[:-1])
    assert not matches(kept, LONGEST[:-1] + "!")


@pytest.mark.parametrize(
    "odd", ["correct\0horse", "påske på hytta", "пароль у моря", "🦩🐢🪁🌵🧭🪗🥝🎈", "tab\tand\nline", HALF_A_PAIR]
)
def test_every_character_counts(odd: str) -> None:
    kept = hashed(odd)
    assert matches(kept, odd)
    assert not matches(kept, odd[:-1] + "x")
    assert not matches(kept, odd.partition("\0")[0] + "\0else")


def test_two_ways_to_type_a_letter_are_one_and_look_alikes_are_not() -> None:
    kept = hashed("café au lait, 2²")
    assert matches(kept, unicodedata.normalize("NFD", "café au lait, 2²"))
    assert not matches(kept, "café au lait, 22")


@settings(max_examples=25, deadline=None)
@given(any_text)
def test_whatever_is_hashed_fits(text: str) -> None:
    assert matches(hashed(text), text)


def test_too_long_for_anybody_is_refused_and_never_normalised(
    monkeypatch: pytest.MonkeyPatch, verified: Verified
) -> None:
    kept = hashed(GOOD)
    for text in ("ab" * MOST, GOOD * MOST):
        with pytest.raises(WeakPassword, match="at most 1,024"):
            hashed(text)
        assert not matches(kept, text)
        assert refusal(text) == CRITERIA[1]
    assert len(verified.calls) == 2, "and takes no less work"
    monkeypatch.setattr(passwords, "unicodedata", None)
    assert not matches(kept, "\u0301" * 1_000_000), "which takes quadratic time"


@pytest.mark.parametrize("letter", ["ᾂ", "각", "Ǖ"])
def test_length_counts_what_is_seen_and_not_how_it_was_typed(letter: str) -> None:
    text = letter + LONGEST[1:]
    in_pieces = unicodedata.normalize("NFD", text)
    assert len(in_pieces) > MOST
    check(in_pieces)
    assert matches(hashed(text), in_pieces)
    assert refusal(unicodedata.normalize("NFD", letter * (LEAST - 1))) == CRITERIA[0]


# Whether it fits


def test_nobodys_password_takes_the_same_work_and_never_fits(verified: Verified) -> None:
    kept = hashed(GOOD)
    for whom, password in ((kept, "not the password"), (None, "not the password"), (None, "")):
        assert not matches(whom, password)
    assert [octets for _, octets in verified.calls] == [b"not the password", b"not the password", b""]
    known, unknown, empty = [argon2.extract_parameters(hash_) for hash_, _ in verified.calls]
    assert known == unknown == empty


def test_the_hash_of_nobody_has_todays_parameters() -> None:
    assert not needs_rehash(passwords._NOBODY)


def test_nobody_fits_even_when_the_work_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argon2.PasswordHasher, "verify", lambda *_: True)
    assert matches(hashed(GOOD), GOOD)
    assert not matches(None, GOOD)
    assert not matches(hashed(GOOD), GOOD * MOST)


def test_what_is_no_hash_is_an_error_and_not_a_wrong_password() -> None:
    with pytest.raises(argon2.exceptions.InvalidHashError):
        matches("letmein", "letmein")


def test_other_parameters_still_fit_and_ask_to_be_hashed_again() -> None:
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(GOOD)
    assert matches(old, GOOD)
    assert needs_rehash(old)
    assert needs_rehash(argon2.PasswordHasher(type=argon2.Type.I, time_cost=1, memory_cost=8, parallelism=1).hash(GOOD))
    assert not needs_rehash(hashed(GOOD))


# Two at a time


class Crowd:
    """Sign-ins on threads of their own, each held inside argon2 until ``go``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inside, self.most = 0, 0
        self.entered, self._go, self._lock = threading.Semaphore(0), threading.Event(), threading.Lock()
        self._threads: list[threading.Thread] = []
        self.answers: list[bool] = []
        monkeypatch.setattr(argon2.PasswordHasher, "verify", self._verify)

    def _verify(self, *_: Any) -> bool:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.entered.release()
        self._go.wait()
        with self._lock:
            self.inside -= 1
        return True

    def come(self, people: int) -> None:
        for _ in range(people):
            thread = threading.Thread(target=lambda: self.answers.append(matches(passwords._NOBODY, GOOD)))
            self._threads.append(thread)
            thread.start()

    def go(self) -> None:
        self._go.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    crowd = Crowd(monkeypatch)
    yield crowd
    crowd.go()


def test_two_are_hashed_at_once_and_the_others_wait(crowd: Crowd) -> None:
    crowd.come(8)
    for _ in range(2):
        crowd.entered.acquire()
    assert crowd.inside == 2
    crowd.go()
    assert crowd.answers == [True] * 8
    assert crowd.most == 2


def test_who_waits_too_long_is_told_to_come_back(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd.come(2)
    for _ in range(2):
        crowd.entered.acquire()
    monkeypatch.setattr(passwords, "_PATIENCE", 0.01)
    for attempt in (lambda: matches(None, GOOD), lambda: hashed(GOOD)):
        with pytest.raises(Unavailable, match="try again"):
            attempt()
    assert crowd.most == 2
    crowd.go()
    assert hashed(GOOD)


def test_a_failure_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_PATIENCE", 0.01)
    for _ in range(3):
        with pytest.raises(argon2.exceptions.InvalidHashError):
            matches("no hash", GOOD)
        assert not matches(None, GOOD)


# What may be a password


@pytest.mark.parametrize(
    "good",
    [
        GOOD,
        "kvjwmzrt",
        "KVJWMZRT",
        "83610472",
        "correct horse battery staple",
        "  spaces count  ",
        "пароль у моря",
        "🦩🐢🪁🌵🧭🪗🥝🎈",
        "correct\0horse",
        "ada likes lace and 7 otters",
    ],
)
def test_any_composition_will_do(good: str) -> None:
    check(good, about=ADA)


@pytest.mark.parametrize("short", ["", "kvjwmzr", "🦩🐢🪁🌵🧭🪗🥝"])
def test_too_short(short: str) -> None:
    assert refusal(short) == CRITERIA[0]


def test_too_long() -> None:
    assert refusal(GOOD * 60) == CRITERIA[1]


@pytest.mark.parametrize("common", ["password1", "PassWord1", "1qaz2wsx", "trustno1", "p@ssw0rd", "ｐａｓｓｗｏｒｄ1"])
def test_among_the_commonest(common: str) -> None:
    assert refusal(common) == CRITERIA[2]


def test_the_commonest_are_enough_of_them() -> None:
    """ASVS 6.2.4: the 3,000 commonest that match the rules, not 3,000 of which most are too short anyway."""
    fitting = [common for common in FREQUENCY_LISTS["passwords"] if len(common) >= LEAST]
    assert len(fitting) > 3 * 3000
    for common in fitting:
        with pytest.raises(WeakPassword):
            check(common)


@pytest.mark.parametrize(
    "own",
    [
        "ada.lovelace@example.com",
        "ADA.LOVELACE",
        "Ada Lovelace",
        "adalovelace",
        "lovelace",
        "Lovelace1815",
        "1815lovelace!",
        "lovelace20252026",
        "ecalevol1815",
        "AdaAdaAda!",
        "example1234",
        "ａｄａｌｏｖｅｌａｃｅ",
    ],
)
def test_made_of_a_name(own: str) -> None:
    check(own, about=("charles.babbage", "Charles Babbage"))
    assert refusal(own, *ADA) == CRITERIA[3]


@pytest.mark.parametrize(
    "about", ["__.--.__", "李小龙李小龙李小龙", "José Ñúñez", "a\0b\0c\0d\0e", HALF_A_PAIR * 2 + "jkvwx"]
)
def test_any_name_is_refused_as_a_password(about: str) -> None:
    with pytest.raises(WeakPassword):
        check(about, about=(about,))


def test_the_longest_name_and_the_whole_local_part_count() -> None:
    assert refusal("annabel2024", "ann", "annabel") == CRITERIA[3]
    assert refusal("a.b.c.d.e", "a.b.c.d.e@example.com") == CRITERIA[3]


def test_a_name_of_up_to_two_letters_forbids_nothing() -> None:
    check("lilikvmz", about=("", " ", "a", "@", "Li Li", HALF_A_PAIR))


def test_a_name_may_be_a_part() -> None:
    check("lovelace wrote notes", about=ADA)
    check("anniversary in june", about=("ann", "Ann June"))
    check("adlovelaceakvjw", about=ADA)


@pytest.mark.parametrize(
    "simple",
    [
        "aaaaaaaa",
        "        ",
        "\0" * 8,
        "🦩" * 12,
        "AaAaAaAa",
        "xyxyxyxyx",
        "q7!q7!q7!",
        "abcdefgh",
        "AbCdEfGh",
        "hgfedcba",
        "stuvwxyzabc",
        "5678901234",
        "4321098765",
        "11223344",
        "aaaabbbb",
        "abcdefgh" + "i" * 90,
        "абвгдежзий",
    ],
)
def test_too_simple(simple: str) -> None:
    assert refusal(simple) == CRITERIA[4]


@pytest.mark.parametrize("broken", [HALF_A_PAIR + "kvjwmzrt", "kvjwmzrt\udfff", HALF_A_PAIR * 8])
def test_what_is_not_unicode_is_refused_in_words(broken: str) -> None:
    assert "not valid Unicode" in refusal(broken)


@given(any_text, st.lists(any_text, max_size=3))
@settings(deadline=None)
def test_every_text_is_allowed_or_refused(text: str, about: list[str]) -> None:
    with suppress(WeakPassword):
        check(text, about=about)


def test_a_refusal_is_one_sentence_that_does_not_tell_the_password() -> None:
    assert issubclass(WeakPassword, Refused)
    assert len(set(CRITERIA)) == 5
    for sentence in CRITERIA:
        assert sentence.endswith(".")
        assert sentence.count(".") == 1
    assert "Lovelace" not in refusal("Lovelace1815", *ADA)


def test_nobody_loads_the_list_who_sets_no_password() -> None:
    program = """if True:
        import sys
        from scim_server.directory import passwords
        assert not passwords.matches(None, "a heron reads 9 maps")
        assert "zxcvbn" not in sys.modules
        passwords.check("a heron reads 9 maps")
        assert "zxcvbn" in sys.modules
    """
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
