"""Every order of steps of the protocol, in a model; and three rules without which there is an order that loses."""

import pytest

from tests.collection.model import Model


def test_no_order_of_steps_loses_anything() -> None:
    """A rule that looks right in every order somebody thought of would lose data in another."""
    states, loss = Model(1, 2, {"P", "D"}).search()
    assert not loss, loss
    assert states > 50_000


@pytest.mark.parametrize(
    ("broken", "writers"), [("second listing", 1), ("versions in lists", 1), ("gc before packs", 1)]
)
def test_without_one_rule_data_is_lost(broken: str, writers: int) -> None:
    """A rule would be dropped because nobody knows what it is for; or the model could not find a loss at all."""
    packs = {"P", "D"} if broken == "gc before packs" else {"P"}
    _, loss = Model(writers, 2, packs, broken).search()
    assert 8 <= len(loss) <= 14, loss
