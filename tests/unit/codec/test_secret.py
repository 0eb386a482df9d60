"""The text form of a secret: packstore.codec.secret. Typed from paper, at night, by somebody in a hurry."""

import random

import pytest

from packstore.codec.key import Key
from packstore.codec.secret import SECRET_BYTES, format_secret, parse_secret
from packstore.errors import KeyFileUnusable

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM = random.Random(20)
SECRETS = [Key(RANDOM.randbytes(SECRET_BYTES)) for _ in range(25)]


def refused(text: str) -> bool:
    """Say whether `text` is refused."""
    try:
        parse_secret(text)
    except KeyFileUnusable:
        return True
    return False


@pytest.mark.parametrize("secret", [*SECRETS, Key(bytes(SECRET_BYTES)), Key(b"\xff" * SECRET_BYTES)])
def test_round_trip(secret: Key) -> None:
    """A recovery key that was written down would open nothing."""
    text = format_secret(secret)
    assert [len(group) for group in text.split("-")] == [4] * 9
    assert set(text) <= {*ALPHABET, "-"}
    assert parse_secret(text) == secret


@pytest.mark.parametrize("secret", SECRETS)
def test_how_people_type(secret: Key) -> None:
    """Somebody who mixes up 0 and O, or types in lower case, would be locked out."""
    text = format_secret(secret)
    for typed in (
        text.lower(),
        text.replace("-", ""),
        text.replace("-", " - "),
        text.replace("0", "O").replace("1", "I"),
        text.replace("0", "o").replace("1", "l"),
        text.replace("1", "i") + "\r\n",
        "\t" + text + "\n",
    ):
        assert parse_secret(typed) == secret


@pytest.mark.parametrize("secret", SECRETS)
def test_every_wrong_character_is_found(secret: Key) -> None:
    """A typing error would be tried as a key and reported as a wrong one. Missed by chance: one in 2^20."""
    text = format_secret(secret)
    for place, letter in enumerate(text):
        if letter != "-":
            assert all(refused(text[:place] + other + text[place + 1 :]) for other in ALPHABET if other != letter)


@pytest.mark.parametrize("secret", SECRETS)
def test_every_exchange_of_neighbours_is_found(secret: Key) -> None:
    """The commonest typing error of all would not be noticed."""
    letters = format_secret(secret).replace("-", "")
    for place in range(len(letters) - 1):
        one, other = letters[place], letters[place + 1]
        if one != other:
            assert refused(letters[:place] + other + one + letters[place + 2 :])


@pytest.mark.parametrize("secret", SECRETS)
def test_missing_and_doubled_characters_are_found(secret: Key) -> None:
    """A character that was left out or typed twice would not be noticed."""
    letters = format_secret(secret).replace("-", "")
    for place in range(len(letters)):
        assert refused(letters[:place] + letters[place + 1 :])
        assert refused(letters[:place] + letters[place] + letters[place:])
        assert (
            refused(letters[:place] + letters[place] + letters[place:-1]) or letters[place:-1] == letters[place + 1 :]
        )


def test_text_at_random_is_refused() -> None:
    """An arbitrary file of the right length would be taken for a key."""
    assert all(refused("".join(RANDOM.choices(ALPHABET, k=36))) for _ in range(2_000))


@pytest.mark.parametrize(
    "text", ["", "0", "\0" * 36, "U" * 36, "é" * 36, "\uff10" * 36, "\ufb01" * 18, "ß" * 18, "\u0663" * 36]
)
def test_what_never_was_a_secret(text: str) -> None:
    """A file of another kind would be accepted, or fail with another error than that it is unusable."""
    assert refused(text)
