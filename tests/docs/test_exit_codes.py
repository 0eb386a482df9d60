"""docs/EXIT_CODES.md says what the exceptions say."""

import ast
from pathlib import Path

import pytest

from packstore import errors
from packstore.errors import PackstoreError
from tools.gen_exit_codes import PAGE, exceptions, meaning, page

RANGES = {
    "RepositoryError": range(10, 20),
    "KeyUnavailable": range(20, 30),
    "StorageError": range(30, 40),
    "DamageError": range(40, 50),
    "SourceError": range(50, 55),
    "TargetError": range(55, 60),
    "GuardError": range(60, 65),
    "Attention": range(65, 70),
    "ConfigError": range(70, 80),
    "UsageError": range(2, 3),
    "CollectionError": range(80, 90),
    "RunFailed": range(90, 100),
    "Interrupted": range(130, 131),
}


def test_the_page_is_current() -> None:
    """Somebody would look up an exit code and find another meaning; `python -m tools.gen_exit_codes` writes it."""
    assert PAGE.read_text() == page()


def test_codes_are_unique() -> None:
    """Two failures could not be told apart by a script."""
    codes = [kind.exit_code for kind in exceptions()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", exceptions(), ids=lambda kind: kind.__name__)
def test_codes_lie_in_their_range(kind: type[PackstoreError]) -> None:
    """A script that asks only for the range of a code would take one kind of failure for another."""
    if kind is not PackstoreError:
        ancestors = [base.__name__ for base in kind.__mro__ if base.__name__ in RANGES]
        assert kind.exit_code in RANGES[ancestors[-1]]
    assert meaning(kind).endswith(".")


def test_every_exception_is_in_errors_py() -> None:
    """An exception defined elsewhere would have no row in the table, unless it is a case of one that has."""
    for path in Path(errors.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and path.name != "errors.py":
                assert "exit_code" not in {
                    target.id
                    for line in node.body
                    if isinstance(line, ast.Assign)
                    for target in line.targets
                    if isinstance(target, ast.Name)
                }
                assert not {"PackstoreError", "Exception"} & {
                    base.id for base in node.bases if isinstance(base, ast.Name)
                }
