"""`packstore due`, `packstore sla`, and the configuration file that they go by."""

from pathlib import Path

import pytest

from tests.cli.aged import DAY, HOUR, Aged
from tests.cli.program import Done, Program

SCHEDULES = """
[schedules.daily]
interval = "1d"
keep = 3
sla = "2h"

[schedules.often]
interval = "4h"
keep = 6
volumes = ["db*", "ledger"]
"""


@pytest.fixture
def planned(aged: Aged) -> Aged:
    """A repository, and a configuration in the user's home."""
    path = aged.program.home / ".config" / "packstore" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(SCHEDULES)
    return aged


def due(done: Done) -> list[tuple[str, str]]:
    """What is due, by volume and schedule."""
    return [(found["volume"], found["schedule"]) for found in done.json["due"]]


def test_due(planned: Aged) -> None:
    """A volume that nobody backs up any more would not be seen."""
    planned.back_up(2 * HOUR, tags=("b_daily",))
    planned.back_up(25 * HOUR, "late", tags=("b_daily",))
    planned.back_up(HOUR, "db1", tags=("b_daily", "often"))
    planned.back_up(5 * HOUR, "db2", tags=("b_daily", "often"))
    done = planned.program("due", "--json").expect(66)
    assert due(done) == [("db2", "often"), ("late", "daily"), ("ledger", "daily"), ("ledger", "often")]
    assert done.json["error"]["name"] == "BackupDue"
    late = done.json["due"][1]
    assert late["tag"] == "b_daily"
    assert late["last_version"] == planned.uids("late")[0]
    assert late["due_since"] > late["last_date"]
    text = planned.program("due", "late").expect(66)
    assert "late" in text.out
    assert "1 backup of 1 volume is due" in text.err
    assert planned.program("due", "disk").expect(0).out == "nothing is due\n"
    assert due(planned.program("due", "db2", "--json").expect(66)) == [("db2", "often")]
    planned.program("due", "db2", "--schedule", "daily").expect(0)


def test_a_volume_that_was_never_backed_up_is_due(planned: Aged) -> None:
    """A new volume would be forgotten for ever."""
    done = planned.program("due", "new", "--json").expect(66)
    assert due(done) == [("new", "daily")]
    assert done.json["due"][0]["last_version"] is None
    assert due(planned.program("due", "--json").expect(66)) == [("ledger", "daily"), ("ledger", "often")]


def test_what_keeps_no_promise(planned: Aged) -> None:
    """An incomplete version, a removed one or one from the future would count as a backup."""
    planned.back_up(HOUR, "incomplete", tags=("b_daily",), incomplete=True)
    planned.back_up(-9 * DAY, "future", tags=("b_daily",))
    planned.back_up(HOUR, "untagged")
    planned.back_up(HOUR, "removed", tags=("b_daily",))
    planned.program("rm", "removed", "--force").expect(0)
    for volume in ("incomplete", "future", "untagged", "removed"):
        assert due(planned.program("due", volume, "--json").expect(66)) == [(volume, "daily")]


def test_a_backup_makes_it_undue(planned: Aged, device: Path) -> None:
    """The automatic tags would not be those that the schedules look for."""
    planned.program("due", "fresh").expect(66)
    planned.program("backup", device, "fresh").expect(0)
    planned.program("due", "fresh").expect(0)
    planned.program("sla", "fresh").expect(0)


def kinds(done: Done) -> list[tuple[str, str]]:
    """The breaches, by volume and kind."""
    return [(found["volume"], found["kind"]) for found in done.json["breaches"]]


def test_sla(planned: Aged) -> None:
    """Backups would not be as promised, and nobody would be told."""
    for days in (3, 2, 1):
        planned.back_up(days * DAY, "good", tags=("b_daily",))
    for days in (9, 8, 5):
        planned.back_up(days * DAY, "bad", tags=("b_daily",))
    for hours in range(6, 0, -1):
        planned.back_up(hours * HOUR, "many", tags=("b_daily",))
    planned.back_up(9 * DAY, "few")
    planned.back_up(DAY, "few", tags=("b_daily",))
    planned.back_up(DAY, "never")
    planned.program("sla", "good").expect(0)
    assert kinds(planned.program("sla", "bad", "--json").expect(67)) == [
        ("bad", "late"),
        ("bad", "gap"),
        ("bad", "old"),
    ]
    assert kinds(planned.program("sla", "many", "--json").expect(67)) == [("many", "many")]
    assert kinds(planned.program("sla", "few", "--json").expect(67)) == [("few", "few")]
    assert kinds(planned.program("sla", "never", "--json").expect(67)) == [("never", "never")]
    done = planned.program("sla", "--schedule", "daily").expect(67)
    assert "4 volumes not as promised: 6 breaches" in done.err
    assert planned.program("sla", "good").expect(0).out == "all is as promised\n"


def test_without_schedules(stored: Program) -> None:
    """Monitoring would be green for ever, because nothing is configured."""
    for command in ("due", "sla"):
        stored(command).refused(70, "there are no schedules", ".config/packstore/config.toml", "docs/RETENTION.md")


def test_wrong_use(planned: Aged, tmp_path: Path) -> None:
    """Monitoring would be green for ever, because of a name with a typing error."""
    for command in ("due", "sla"):
        planned.program(command, "--schedule", "dayly").refused(2, "'dayly'", "daily, often")
    only = tmp_path / "only.toml"
    only.write_text('[schedules.db]\ninterval = "1d"\nkeep = 1\nvolumes = ["db*"]\n')
    env = {"PACKSTORE_CONFIG": str(only)}
    planned.program("due", "disk", env=env).refused(2, "no schedule is for disk")
    planned.program("sla", "disk", env=env).refused(2, "no schedule is for disk")


WRONG = {
    "not TOML": "[schedules",
    "schedule is not known": '[schedule.daily]\ninterval = "1d"\nkeep = 1\n',
    "schedules must be a table": "schedules = 3\n",
    "schedules.daily must be a table": "[schedules]\ndaily = 3\n",
    "schedules.daily.intervals is not known": '[schedules.daily]\nintervals = "1d"\nkeep = 1\n',
    "schedules.daily.interval must be a duration": "[schedules.daily]\ninterval = 1\nkeep = 1\n",
    "schedules.daily.interval is not a duration": '[schedules.daily]\ninterval = "1"\nkeep = 1\n',
    "schedules.daily.interval must be longer": '[schedules.daily]\ninterval = "0d"\nkeep = 1\n',
    "schedules.daily.interval times keep": '[schedules.daily]\ninterval = "900y"\nkeep = 1\nsla = "300y"\n',
    "schedules.daily.keep must be a number": '[schedules.daily]\ninterval = "1d"\n',
    "schedules.daily.keep must be": '[schedules.daily]\ninterval = "1d"\nkeep = true\n',
    "schedules.daily.sla is not": '[schedules.daily]\ninterval = "1d"\nkeep = 1\nsla = "2 bananas"\n',
    "schedules.daily.tag a tag": '[schedules.daily]\ninterval = "1d"\nkeep = 1\ntag = ""\n',
    "schedules.daily.tag must": '[schedules.daily]\ninterval = "1d"\nkeep = 1\ntag = 1\n',
    "schedules.daily.volumes must": '[schedules.daily]\ninterval = "1d"\nkeep = 1\nvolumes = "x"\n',
    "guards.min_age must be a duration": "[guards]\nmin_age = 6\n",
}


@pytest.mark.parametrize("message", WRONG)
def test_a_configuration_that_makes_no_sense(program: Program, tmp_path: Path, message: str) -> None:
    """A schedule or a guard with a mistake in it would be passed over."""
    config = tmp_path / "config.toml"
    config.write_text(WRONG[message])
    program("due", env={"PACKSTORE_CONFIG": str(config)}).refused(70, str(config), message)


def test_which_configuration_counts(planned: Aged, tmp_path: Path) -> None:
    """Another file than the one that was named would be read."""
    program = planned.program
    program("due", env={"PACKSTORE_CONFIG": str(tmp_path / "none")}).refused(70, f"there is no {tmp_path}/none")
    program("due", env={"PACKSTORE_CONFIG": str(tmp_path)}).refused(70, "cannot be read")
    (tmp_path / "xdg" / "packstore").mkdir(parents=True)
    (tmp_path / "xdg/packstore/config.toml").write_text(SCHEDULES.replace("ledger", "elsewhere"))
    done = program("due", "--json", env={"XDG_CONFIG_HOME": str(tmp_path / "xdg")}).expect(66)
    assert {volume for volume, _ in due(done)} == {"elsewhere"}


def test_the_example_in_the_manual(planned: Aged, tmp_path: Path) -> None:
    """Whoever copies the example from docs/RETENTION.md would get an error."""
    manual = (Path(__file__).parents[2] / "docs" / "RETENTION.md").read_text()
    (tmp_path / "config.toml").write_text(manual.split("```toml\n")[1].split("```")[0])
    done = planned.program("due", "ledger", "--json", env={"PACKSTORE_CONFIG": str(tmp_path / "config.toml")})
    assert due(done.expect(66)) == [("ledger", "daily"), ("ledger", "weekly"), ("ledger", "databases")]
