"""Two minutes of what `make soak` does for as long as one likes."""

from pathlib import Path

import pytest

from tools.soak.commands import DONE, Commands
from tools.soak.engine import SoakOptions, require_swept, soak
from tools.soak.ledger import Fate, Ledger
from tools.soak.sources import MIB
from tools.soak.story import SoakFailureError, Story
from tools.soak.world import Clock, World

SEED = 20_261_123


def test_soak(tmp_path: Path) -> None:
    """What each command promises alone would not hold where they all work at once and are killed at random."""
    numbers = soak(tmp_path, SoakOptions(65, SEED, (6 * MIB, 12 * MIB)))
    assert numbers["backups"]
    assert numbers["versions_at_the_end"]


def world(root: Path) -> World:
    """A world without a repository yet."""
    return World(Commands(root, True, Story(root / "story.txt")), Story(root / "other.txt"), Ledger(), [], Clock(0))


def test_an_unexpected_end_fails(tmp_path: Path) -> None:
    """A soak would pass whatever its commands end with; and whoever reads of a failure would not know what was run."""
    story = Story(tmp_path / "story.txt")
    commands = Commands(tmp_path, False, story)
    commands.run("test", "a", ("ls",), expected=DONE | {11: "there is no repository yet"})
    with pytest.raises(SoakFailureError, match=r"(?s)packstore ls: exit code 11 \(unexpected\).*no repository.*story"):
        commands.run("test", "a", ("ls",))


def test_other_bytes_fail(tmp_path: Path) -> None:
    """A restore of other bytes than were backed up would count as one that is right."""
    here = world(tmp_path)
    here.commands.run("test", "a", ("init", "--reserve", "0"))
    (tmp_path / "device").write_bytes(b"one")
    uid = here.commands.run("test", "a", ("backup", str(tmp_path / "device"), "v")).document["version"]
    here.ledger.made(here.ledger.begin_backup("v", "3:of other bytes"), uid)
    (version,) = here.look("test", "a")
    with pytest.raises(SoakFailureError, match="other bytes"):
        here.restore("test", "a", version, lambda: None, here.ledger.now())


@pytest.mark.parametrize("name", ["gc/list-1", "gc/intent-1.tmp", "packs/00/1.tmp"])
def test_what_is_left_behind_fails(tmp_path: Path, name: str) -> None:
    """Files that nobody ever removes would pile up unnoticed."""
    here = world(tmp_path)
    require_swept(here)
    path = here.commands.repository / name
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(SoakFailureError, match=name):
        require_swept(here)


def test_a_lost_version_is_noticed() -> None:
    """A version that vanishes while another one is removed would be taken for removed."""
    ledger = Ledger()
    for uid in ("kept", "removed"):
        ledger.made(ledger.begin_backup("v", uid), uid)
    since = ledger.now()
    ledger.touch("removed", Fate.EITHER)
    assert ledger.is_there("kept", since)
    assert not ledger.is_there("removed", since)
    ledger.settle(ledger.known(), {})
    assert ledger.known().there == {"kept"}
    assert ledger.known().removed == {"removed"}


def test_a_prune_that_is_killed_leaves_both_possible() -> None:
    """A soak would fail, or miss a loss, after each prune that was killed."""
    ledger = Ledger()
    ledger.made(ledger.begin_backup("v", "before"), "before")
    under_way = ledger.begin_backup("v", "under way")
    ledger.begin_sweep(["v"])
    ledger.end_sweep(["v"], [])
    ledger.made(under_way, "under way")
    ledger.made(ledger.begin_backup("v", "after"), "after")
    assert ledger.known().there == {"after"}
    ledger.settle(ledger.known(), {"before": "v", "after": "v"})
    assert ledger.known().there == {"before", "after"}
    assert ledger.known().removed == {"under way"}


def test_bytes_of_a_killed_backup(tmp_path: Path) -> None:
    """A version that a killed backup has committed could hold anything."""
    ledger = Ledger()
    ledger.begin_backup("v", "killed")
    ledger.begin_backup("other", "elsewhere")
    ledger.made(ledger.begin_backup("v", "made"), "uid")
    assert ledger.contents("unknown", "v") == {"killed"}
    assert ledger.contents("uid", "v") == {"made"}
