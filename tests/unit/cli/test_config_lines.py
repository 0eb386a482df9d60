"""On which line a key of a TOML file stands."""

import tomllib

import pytest

from packstore.cli.config_lines import key_lines, line_of, syntax_line

TEXT = '''# a comment
top = 1

[a]          # comment = "no key"
x = """
[not.a.table]
y = 2
"""
"quoted.key" = [
  1,  # ]
  2,
]
b.c = { d = 1, e = { f = 2 } }

[a.z."odd name"]
k = 'v'
'''


def test_where_keys_stand() -> None:
    """A person would be sent to a line where there is nothing wrong, or into the middle of a string."""
    assert key_lines(TEXT) == {
        ("top",): 2,
        ("a",): 4,
        ("a", "x"): 5,
        ("a", "quoted.key"): 9,
        ("a", "b"): 13,
        ("a", "b", "c"): 13,
        ("a", "b", "c", "d"): 13,
        ("a", "b", "c", "e"): 13,
        ("a", "b", "c", "e", "f"): 13,
        ("a", "z"): 15,
        ("a", "z", "odd name"): 15,
        ("a", "z", "odd name", "k"): 16,
    }


def test_what_is_missing_has_the_line_of_its_table() -> None:
    """Of a missing key nobody would know where to write it."""
    lines = key_lines(TEXT)
    assert line_of(lines, ("a", "z", "missing")) == 15
    assert line_of(lines, ("missing", "too")) == 1


@pytest.mark.parametrize(("text", "line"), [("a = 1\nb = \n", 2), ("a = 1\n[b\n", 2), ('a = 1\n\nb = """x\n', 3)])
def test_where_it_is_no_toml(text: str, line: int) -> None:
    """The mistake that is made most often would be the one without a line."""
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads(text)
    assert syntax_line(text, caught.value) == line
