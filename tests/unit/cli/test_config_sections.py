"""Whatever stands in the configuration is understood or is a mistake with a key; nothing else happens."""

from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from packstore.cli.config_model import Config
from packstore.cli.config_sections import understand

KEYS = [
    "guards",
    "min_age",
    "repositories",
    "volumes",
    "schedules",
    "retention",
    "limits",
    "usb",
    "path",
    "id",
    "key_file",
    "passphrase_command",
    "optional",
    "min_free",
    "compression",
    "check_percent",
    "gc_percent",
    "root",
    "source",
    "tags",
    "immutable",
    "snapshot_size",
    "hooks",
    "before",
    "daily",
    "interval",
    "keep",
    "sla",
    "tag",
    "last",
    "within",
    "expired",
    "threads",
    "bandwidth_in",
    "nice",
    "io_priority",
    "odd*",
]
TEXTS = [
    "",
    "x",
    "usb",
    "daily",
    "/dev/x",
    "s3://x",
    "file://",
    "1d",
    "999999y",
    "0s",
    "5GiB",
    "zstd:99",
    "idle",
    "ä\0",
]
VALUES = st.one_of(
    st.sampled_from(TEXTS),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.just(date(2026, 1, 1)),
)


def nested(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Arrays and tables of these."""
    return st.one_of(st.lists(children, max_size=3), st.dictionaries(st.sampled_from(KEYS), children, max_size=6))


SECTIONS = ("repositories", "volumes", "schedules")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **{
                name: st.dictionaries(
                    st.sampled_from(["usb", "daily", "odd*", ""]),
                    st.dictionaries(st.sampled_from(KEYS), st.recursive(VALUES, nested, max_leaves=5), max_size=8),
                    max_size=2,
                )
                for name in SECTIONS
            },
            "limits": st.dictionaries(st.sampled_from(KEYS), VALUES),
            "retention": st.recursive(VALUES, nested, max_leaves=5),
            "guards": VALUES,
        },
    )
)
def test_nothing_but_mistakes(document: dict[str, Any]) -> None:
    """A value that nobody has thought of would end in a traceback, at night, instead of in a line of the file."""
    config, mistakes = understand(Path("/config.toml"), document)
    assert isinstance(config, Config)
    assert all(mistake.path and mistake.what for mistake in mistakes)


def test_a_list_of_lists() -> None:
    """What random values have found once would come back."""
    _, mistakes = understand(Path("/config.toml"), {"volumes": {"usb": {"source": "/x", "repositories": [[]]}}})
    assert [mistake.where for mistake in mistakes] == ["volumes.usb.repositories"]


def test_a_schedule_is_for_those_that_name_it() -> None:
    """A schedule would be for all volumes, though some have asked for it; or for none, though nobody has."""
    volume = {"source": "/dev/x", "schedules": ["daily"]}
    schedule = {"interval": "1d", "keep": 1}
    document = {
        "volumes": {"root": volume, "db": volume, "other": {"source": "/dev/y"}},
        "schedules": {"daily": schedule, "weekly": schedule, "often": schedule | {"volumes": ["d*"]}},
    }
    config, mistakes = understand(Path("/config.toml"), document)
    assert not mistakes
    volumes = {one.name: [name for name in ("root", "db", "other") if one.applies_to(name)] for one in config.schedules}
    assert volumes == {"daily": ["root", "db"], "weekly": ["root", "db", "other"], "often": ["db"]}
