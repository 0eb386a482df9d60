"""The vectors of keys, run by tools/rescue.py: it is written from FORMAT.md alone, and so proves that it says enough.

Rescue has no use for fingerprints: these, and the seed, are packstore's own.
"""

import hashlib
import hmac
import importlib.util
from collections.abc import Callable
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from tests.support import vectors
from tools.vectors.case import Case

CASES = list(vectors.load())


def load_rescue() -> Any:
    """Return rescue.py as a module."""
    spec = importlib.util.spec_from_file_location("rescue", vectors.DIRECTORY.parent.parent / "tools" / "rescue.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


rescue = load_rescue()


def of(*what: str) -> Any:
    """Run a test with each vector of these kinds."""
    return pytest.mark.parametrize("case", [case for case in CASES if case.what in what], ids=lambda case: case.name)


def given(case: Case, name: str) -> bytes:
    """Return an input of a vector as bytes."""
    return bytes.fromhex(case.inputs[name])


def opened(case: Case) -> Any:
    """Return a repository of rescue's that knows what a vector gives; the MAC of its own file is taken for right."""
    repository = rescue.Repository(Path("nowhere"))
    repository.id16 = given(case, "repository_id")
    if "root" in case.inputs:
        root = given(case, "root")
        key = repository.prf(root, "keys")[:32]
        repository.set_root(root, (rescue.SLOT, b"message", repository.prf(key, "mac", b"message")[:32]))
    return repository


def _mac(label: str) -> Callable[[Any, Case], bytes]:
    def answer(repository: Any, case: Case) -> bytes:
        repository.check_mac(label, given(case, "message"), case.data)
        return case.data

    return answer


def _object_id(repository: Any, case: Case) -> bytes:
    if case.inputs.get("encrypted") == "no":
        return hashlib.sha512(given(case, "plain")).digest()
    return hmac.digest(repository.keys["id"], given(case, "plain"), "sha512")


def _epoch_key(repository: Any, case: Case) -> bytes:
    context = pack("<I", int(case.inputs["number"])) + given(case, "secret")
    answer: bytes = repository.prf(repository.keys["root"], "epoch", context)[:32]
    return answer


def _record_key(label: str) -> Callable[[Any, Case], bytes]:
    return lambda repository, case: repository.prf(_epoch_key(repository, case), label)[:32]


def _key_id(label: str) -> Callable[[Any, Case], bytes]:
    return lambda repository, case: repository.prf(_record_key(label)(repository, case), "key id")[:8]


def _kek(_: Any, case: Case) -> bytes:
    salt, passes, memory = given(case, "salt"), int(case.inputs["passes"]), int(case.inputs["memory"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PACKSTORE_PASSPHRASE", given(case, "passphrase").decode())
        passphrase = rescue.find_secrets(None, ask=True)[1]
    variant = rescue.sodium.crypto_pwhash_ALG_ARGON2ID13
    answer: bytes = rescue.sodium.crypto_pwhash_alg(32, passphrase, salt, passes, memory, variant)
    return answer


DERIVATIONS: dict[str, Callable[[Any, Case], bytes]] = {
    "prf": lambda it, case: it.prf(given(case, "key"), case.inputs["label"], given(case, "context")),
    "pack_mac": _mac("pack"),
    "keys_mac": _mac("keys"),
    "id_key": lambda it, _: it.keys["id"],
    "seed": lambda it, case: it.prf(given(case, "root"), "seed")[:8],
    "pack_key": lambda it, _: it.keys["pack"],
    "keys_key": lambda it, _: it.keys["keys"],
    "domain": lambda it, _: it.keys["domain"][:8],
    "epoch_key": _epoch_key,
    "data_key": _record_key("data"),
    "meta_key": _record_key("meta"),
    "data_key_id": _key_id("data"),
    "meta_key_id": _key_id("meta"),
    "object_id": _object_id,
    "kek": _kek,
    "slot_key": lambda it, case: it.prf(given(case, "key"), "slot", given(case, "header"))[:32],
    "slot_commitment": lambda it, case: it.prf(given(case, "key"), "slot", given(case, "header"))[32:],
}


@of("derivation")
def test_derivation(case: Case) -> None:
    """FORMAT.md would not say how a key is derived: nobody without packstore could read a repository."""
    name = case.inputs["derivation"]
    if name == "fingerprint":
        assert name not in DERIVATIONS
        return
    assert DERIVATIONS[name](opened(case), case) == case.data


def _documents(case: Case, folder: Path) -> list[Any]:
    (folder / "file").write_bytes(case.data)
    return list(rescue.documents(folder / "file"))


def _secrets(case: Case, folder: Path, patch: pytest.MonkeyPatch) -> dict[int, bytes]:
    if "passphrase" in case.inputs:
        patch.setenv("PACKSTORE_PASSPHRASE", given(case, "passphrase").decode())
        return dict(rescue.find_secrets(None, ask=True))
    (folder / "key").write_text(case.inputs["secret"], encoding="utf-8")
    return dict(rescue.find_secrets(str(folder / "key"), ask=True))


@of("document/slot")
def test_slot(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase or key file would open no slot without packstore, or rescue accept what packstore refuses."""
    repository, root = opened(case), None
    try:
        for document in _documents(case, tmp_path):
            name = rescue.decode(rescue.decode(document[1][16:])["header"])["id"].hex()
            root = repository.open_slot(name, document, _secrets(case, tmp_path, monkeypatch))
    except rescue.PROBLEMS:
        assert case.expect != "ok"
        return
    assert (root is not None) == (case.expect == "ok")
    if root:
        assert (root.hex(), repository.slot[2].hex()) == (case.value["root"], case.value["box_secret"])


@of("document/epoch")
def test_epoch(case: Case, tmp_path: Path) -> None:
    """The keys of records could not be found without packstore, or a damaged or forged epoch give some.

    What has a right MAC and is odd was written by somebody who has the key: a rescue reader may take it.
    """
    repository = opened(case)
    box_secret = given(case, "box_secret")
    repository.slot = given(case, "slot_id"), rescue.sodium.crypto_scalarmult_base(box_secret), box_secret
    try:
        for document in _documents(case, tmp_path):
            name = rescue.decode(document[1][16:])["id"].hex()
            repository.open_epoch(name, document)
    except rescue.PROBLEMS:
        assert case.expect != "ok"
    found = {of_blocks: key_id.hex() for of_blocks, key_id in repository.record_keys}
    if case.expect in {"malformed", "unsupported"}:
        return
    wanted = {True: case.value["data_key_id"], False: case.value["meta_key_id"]} if case.expect == "ok" else {}
    assert found == wanted


@of("secret")
def test_secret(case: Case, tmp_path: Path) -> None:
    """A recovery key typed from paper would not be read without packstore, or a typing error not be noticed."""
    (tmp_path / "key").write_bytes(case.data)
    try:
        found = rescue.find_secrets(str(tmp_path / "key"), ask=True)[2].hex()
    except rescue.PROBLEMS:
        assert case.expect != "ok"
        return
    assert case.expect == "ok"
    assert found == case.value["secret"]
