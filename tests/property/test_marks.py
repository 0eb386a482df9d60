"""What is said about versions, in any order and again and again, against plain sets."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from packstore.errors import VersionNotFound, VersionProtected, VersionTooYoung
from packstore.operations.guards import AgeGuard
from packstore.operations.marks import Change, add_tags, expire, protect, remove_tags, unprotect
from packstore.operations.removal import remove, undelete
from tests.support.devices import noise
from tests.support.worlds import PlaceStorage, World

TAGS = st.lists(st.sampled_from(["a", "b", "given"]), min_size=1, max_size=3)
WHICH = st.integers(0, 2)


@dataclass
class Plain:
    """What a version should look like."""

    tags: set[str] = field(default_factory=set)
    protected: bool = False
    removed: bool = False
    expires: str | None = None


class MarksMachine(RuleBasedStateMachine):
    """Three versions, and everything that can be said about them."""

    @initialize()
    def begin(self) -> None:
        """Make a repository with three versions."""
        self.place = Path(tempfile.mkdtemp())
        self.world = World(PlaceStorage(), self.place / "index").create()
        for number in range(3):
            self.world.backup(noise(number, 1000), "volume")
        self.uids = [state.version.uid.hex() for state in self.world.states()]
        self.model = {uid: Plain() for uid in self.uids}

    def _present(self, which: int) -> tuple[str, Plain] | None:
        uid = self.uids[which]
        return None if self.model[uid].removed else (uid, self.model[uid])

    @staticmethod
    def _check(change: Change, *, changed: bool) -> None:
        assert bool(change.events) == changed

    @rule(which=WHICH, tags=TAGS)
    def tag(self, which: int, tags: list[str]) -> None:
        """Give tags."""
        if found := self._present(which):
            with self.world.open() as repository:
                self._check(add_tags(repository, found[0], tags), changed=not set(tags) <= found[1].tags)
            found[1].tags |= set(tags)

    @rule(which=WHICH, tags=TAGS)
    def untag(self, which: int, tags: list[str]) -> None:
        """Take tags."""
        if found := self._present(which):
            with self.world.open() as repository:
                self._check(remove_tags(repository, found[0], tags), changed=bool(set(tags) & found[1].tags))
            found[1].tags -= set(tags)

    @rule(which=WHICH, on=st.booleans())
    def protection(self, which: int, *, on: bool) -> None:
        """Protect or unprotect."""
        if found := self._present(which):
            with self.world.open() as repository:
                change = protect(repository, found[0], None) if on else unprotect(repository, found[0])
            self._check(change, changed=found[1].protected != on)
            found[1].protected = on

    @rule(which=WHICH, value=st.sampled_from([None, "2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"]))
    def expiry(self, which: int, value: str | None) -> None:
        """Give a date."""
        if found := self._present(which):
            with self.world.open() as repository:
                self._check(expire(repository, found[0], value), changed=found[1].expires != value)
            found[1].expires = value

    @rule(which=st.sets(WHICH, min_size=1), force=st.booleans())
    def remove(self, which: set[int], *, force: bool) -> None:
        """Remove several at once, all or none; here all are young."""
        uids = [self.uids[number] for number in which]
        models = [self.model[uid] for uid in uids]
        try:
            with self.world.open() as repository:
                remove(repository, uids, AgeGuard(repository), force=force)
        except VersionNotFound:
            assert any(model.removed for model in models)
        except VersionProtected:
            assert any(model.protected for model in models)
        except VersionTooYoung:
            assert not force
        else:
            assert force
            for model in models:
                assert not model.protected
                assert not model.removed
                model.removed = True

    @rule(which=st.sets(WHICH, min_size=1))
    def undelete(self, which: set[int]) -> None:
        """Bring several back."""
        uids = [self.uids[number] for number in which]
        with self.world.open() as repository:
            found = undelete(repository, uids)
        assert {state.version.uid.hex() for state in found.versions} == {uid for uid in uids if self.model[uid].removed}
        for uid in uids:
            self.model[uid].removed = False

    @rule()
    def lose_the_index(self) -> None:
        """Delete the cache."""
        shutil.rmtree(self.place / "index", ignore_errors=True)

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def all_is_as_was_said(self) -> None:
        """Every version looks as the model does."""
        found = {
            state.version.uid.hex(): Plain(set(state.tags), state.protected, state.removed, state.expires)
            for state in self.world.states()
        }
        assert found == self.model

    def teardown(self) -> None:
        """Clean up."""
        if hasattr(self, "place"):
            shutil.rmtree(self.place, ignore_errors=True)


MarksMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=20)
TestMarks = MarksMachine.TestCase
