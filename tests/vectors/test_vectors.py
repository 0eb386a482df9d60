"""Every vector of spec/vectors, run by packstore itself; and that the vectors are what their program makes."""

import re
from pathlib import Path

import pytest

from tests.support import vectors
from tools import make_vectors
from tools.vectors.case import FAILURES, Case, parse

CASES = list(vectors.load())
SPEC = vectors.DIRECTORY.parent / "FORMAT.md"


def name_of(case: Case) -> str:
    """Return the name under which a case is reported."""
    return case.name


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_vector(case: Case) -> None:
    """A reader of the format would differ from its specification: another value, failure or class of failure."""
    outcome, (value, again) = vectors.run(case)
    assert outcome == case.expect
    if outcome == "ok":
        assert value == case.value
    if again is not None and case.reencode:
        assert again() == case.data


def test_vectors_are_what_the_program_makes() -> None:
    """Somebody changed a vector by hand, or a change of code changed bytes that are already stored somewhere."""
    assert make_vectors.differences(vectors.DIRECTORY, make_vectors.generate()) == []


def test_a_changed_vector_is_noticed(tmp_path: Path) -> None:
    """`--check` would pass over vectors that were changed, deleted or forgotten."""
    make_vectors.write(tmp_path, {"a.txt": "1", "b.txt": "2", "c.txt": "3"})
    found = make_vectors.differences(tmp_path, {"a.txt": "1", "b.txt": "changed", "d.txt": "4"})
    assert found == ["d.txt: missing", "b.txt: differs", "c.txt: nothing makes this file"]


def test_each_class_of_failure_has_a_vector() -> None:
    """A class of failure that no vector shows can be confused with another and nobody sees it."""
    assert {case.expect for case in CASES} == {"ok", *FAILURES}


def test_each_kind_of_thing_has_successes_and_failures() -> None:
    """A decoder that refuses everything, or accepts everything, would pass. Derivations cannot fail."""
    for what in vectors.RUNNERS:
        outcomes = [case.expect for case in CASES if case.what == what]
        assert "ok" in outcomes
        assert what == "derivation" or set(outcomes) != {"ok"}


def test_each_derivation_has_a_vector() -> None:
    """A derivation without a known answer can change without anybody noticing."""
    known = {case.inputs["derivation"] for case in CASES if case.what == "derivation"}
    assert known == set(vectors.DERIVATIONS)


def test_sections_exist() -> None:
    """A vector cites a section of FORMAT.md that is not there, and so explains nothing."""
    headings = set(re.findall(r"^#+ (\d+(?:\.\d+)*)\.? ", SPEC.read_text(encoding="utf-8"), re.MULTILINE))
    assert {case.section for case in CASES} <= headings


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_text_form_round_trip(case: Case) -> None:
    """A vector's file holds something that its text form cannot say, or that the parser loses."""
    text = (vectors.DIRECTORY / f"{case.name}.txt").read_text(encoding="utf-8")
    assert parse(case.name, text).render() == text


def test_text_form() -> None:
    """Other programs read the vectors by the form that README.md gives, of which this is an example."""
    text = "expect: ok\nsection: 3\nwhat: msgpack\ncomment: An: example.\nlimit: 9\nvalue: [\n  1\n ]\n\n91\n01\n"
    case = parse("example", text)
    assert (case.expect, case.section, case.what, case.comment) == ("ok", "3", "msgpack", "An: example.")
    assert (case.inputs, case.value, case.data, case.reencode) == ({"limit": "9"}, [1], b"\x91\x01", True)
