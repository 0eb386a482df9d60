"""Slots that ask for more memory or time than a machine has: refused before anything is spent."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from packstore.codec import slots
from packstore.codec.slots import KDF_COSTS, Credential, make_slot
from packstore.format.document import DocumentType, Slot, encode_document, encode_slot, encode_slot_header
from packstore.limits import GIB, MIB
from packstore.repository.documents import COPY_SUFFIX, key_name
from packstore.repository.opening import read_repository_file, unlock
from tests.collection.test_gc import device
from tests.keys.holders import PASSPHRASE, KeyWorld, make_world
from tests.support.worlds import PlaceStorage, fixed_runtime

TIB = 1 << 40
HARMLESS = 600 * MIB
"""Address space of a Python with all its libraries, and of argon2id at its least; far below what is asked for."""

OPEN = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
from packstore.codec.slots import Credential
from packstore.errors import PackstoreError
from packstore.repository.opening import read_repository_file, unlock
from packstore.storage.memory import MemoryStorage
storage = MemoryStorage("place")
storage.files = {name: bytes.fromhex(data) for name, data in json.load(open(sys.argv[1])).items()}
wrong = Credential.from_passphrase(sys.argv[3])
try:
    ring = unlock(storage, read_repository_file(storage), lambda _: wrong, expect_encrypted=True)
    print("opened", len(ring.epochs))
except PackstoreError as error:
    print(type(error).__name__, error.message, error.advice)
"""


@pytest.fixture
def world(tmp_path: Path) -> KeyWorld:
    """A repository with a key file."""
    world = make_world(tmp_path, PlaceStorage())
    world.backup(device(1, 2))
    return world


def greedy(world: KeyWorld, passes: int, memory: int, count: int = 1) -> dict[str, bytes]:
    """Slots for the right passphrase that ask for so much; everything else about them is right."""
    keyring, runtime = world.keyring(), fixed_runtime()
    files = {}
    for _ in range(count):
        made = make_slot(
            PASSPHRASE,
            keyring.repository_id,
            keyring.root,
            costs=KDF_COSTS["interactive"],
            label="",
            date_ms=0,
            random=runtime.random,
        )
        header = replace(made.header, passes=passes, memory=memory)
        body = encode_slot(Slot(header, encode_slot_header(header), made.commitment, made.nonce, made.sealed))
        data = encode_document(DocumentType.SLOT, body, keyring.keys_mac)
        files |= {key_name(header.id) + suffix: data for suffix in ("", COPY_SUFFIX)}
    return files


def open_in_little_memory(files: dict[str, bytes], place: Path, memory: int = HARMLESS) -> str:
    """Open a repository by the passphrase in a process that can have so much address space; return what it says."""
    path = place / "files.json"
    path.write_text(json.dumps({name: data.hex() for name, data in files.items()}))
    command = [sys.executable, "-c", OPEN, str(path), str(memory), PASSPHRASE.material.secret.decode()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("passes", "memory"),
    [
        (3, 4 * TIB - 1024),
        (3, 20 * GIB),
        (3, 2 * GIB + 1),
        (1000, 8 * MIB),
        (21, 8 * MIB),
        (1 << 31, 4 * TIB),
        (0, 8 * MIB),
        (1, 4096),
    ],
)
def test_refused_before_it_is_spent(world: KeyWorld, tmp_path: Path, passes: int, memory: int) -> None:
    """Whoever holds the storage could have the machine out of memory, or busy for days, at each command."""
    files = dict(world.storage.files)  # type: ignore[attr-defined]
    greedy_files = greedy(world, passes, memory)
    only = {name: data for name, data in files.items() if not name.startswith("keys/")} | greedy_files
    assert open_in_little_memory(only, tmp_path).startswith("KeysUnreadable no key slot")
    world.storage.files.update(greedy_files)  # type: ignore[attr-defined]
    assert len(world.verify()) == 1, "another slot serves"
    assert {damage.name for damage in world.check().damage} == set(greedy_files)
    assert {damage.name for damage in world.check_keyless().damage} == set(greedy_files)


def test_what_may_be_asked_for_and_is_not_there(world: KeyWorld, tmp_path: Path) -> None:
    """Somebody in the rescue system of a small machine would be told that their passphrase is wrong."""
    world.add(PASSPHRASE)
    files = dict(world.storage.files)  # type: ignore[attr-defined]
    assert open_in_little_memory(files, tmp_path) == "opened 1\n"
    own = {n: d for n, d in files.items() if not n.startswith("keys/")} | greedy(world, 1, 2 * GIB)
    said = open_in_little_memory(own, tmp_path)
    assert said.startswith("KeyUnavailable")
    assert "2048 MiB of memory" in said
    assert "free some memory" in said


def test_too_many_slots(world: KeyWorld, tmp_path: Path) -> None:
    """A thousand slots, each of which takes its time, would keep the right passphrase out for an hour."""
    files = dict(world.storage.files) | greedy(world, 20, 2 * GIB, count=65)  # type: ignore[attr-defined]
    assert open_in_little_memory(files, tmp_path).startswith("TamperedRepository there are more slots")


def test_the_slot_that_opened_it_last_is_tried_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each passphrase of somebody else, or of an enemy, would cost every command another derivation."""
    world = make_world(tmp_path, PlaceStorage())
    passphrases = [Credential.from_passphrase(f"passphrase {number}") for number in range(4)]
    for passphrase in passphrases:
        world.add(passphrase)
    world.holder = passphrases[0]
    calls = []
    derive = slots.argon2id
    monkeypatch.setattr(slots, "argon2id", lambda *arguments: calls.append(1) or derive(*arguments))
    file = read_repository_file(world.storage)
    for first in [world.slot_of(passphrase).header.id for passphrase in passphrases]:
        calls.clear()
        ring = unlock(world.storage, file, lambda _: passphrases[0], expect_encrypted=True, first=first)
        assert ring.slot is not None
        assert (ring.slot.id == first) == (len(calls) == 1)
