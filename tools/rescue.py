#!/usr/bin/env python3
"""Get backups out of a packstore repository when packstore itself is gone, broken, or not to be trusted.

You need Python 3.11 or later, this one file, and:  python3 -m pip install zstandard msgpack "pynacl>=1.6"

    python3 rescue.py ls REPO                     what is in REPO, the directory with `packs/` and `meta/`?
    python3 rescue.py restore REPO VERSION OUT    write one version into the new file OUT (`-`: to stdout)

VERSION is a uid from `ls` or its first digits; or VOLUME, its latest version; VOLUME~2, two before the latest; or
VOLUME@2026-01-31, the latest of that day or before it (UTC). You are asked for the passphrase. Scripts set
PACKSTORE_PASSPHRASE, PACKSTORE_PASSPHRASE_FILE (it is in that file) or PACKSTORE_PASSPHRASE_COMMAND (it is what that
shell command prints). With a key file, or a recovery code typed into a file: `--key-file F` or PACKSTORE_KEY_FILE.

Nothing in REPO is ever changed. Damage does not stop a restore: what cannot be read comes out as zeros, the ranges are
listed on stderr, and the exit code is 40. Copy REPO to healthy disks before you try anything cleverer. Exit codes: 0
fine, 2 usage, 11 no repository, 13 unknown format, 14 no such version, 22 wrong passphrase or key, 40 damage, 1 others.
Written from spec/FORMAT.md alone; its sections stand in parentheses. What a MAC or an id vouches for is not questioned.
"""

import argparse
import functools
import getpass
import hashlib
import hmac
import os
import re
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from glob import glob
from pathlib import Path
from struct import pack, unpack
from typing import Any

try:
    import msgpack
    import zstandard
    from nacl import bindings as sodium

    CIPHERS = {1: (sodium.crypto_aead_xchacha20poly1305_ietf_decrypt, 24), 2: (sodium.crypto_aead_aegis256_decrypt, 32)}
except (ImportError, AttributeError) as missing:
    sys.exit(f'rescue.py: {missing}\nInstall what it needs: python3 -m pip install zstandard msgpack "pynacl>=1.6"')

MIB, FANOUT, MAX_SLOTS, SECRET_DIGITS, NO_ID, HEX_ID = 1 << 20, 256, 64, 36, bytes(64), "[0-9a-f]" * 32
SLOT, EPOCH, BLOCKS, META = 2, 3, 1, 2  # types of documents (8) and of packs (7.1)
BLOCK, PAGE, VERSION, EVENT, DIRECTORY = 1, 2, 3, 4, 5  # kinds of objects (6.2)
LARGEST = {BLOCK: 16 * MIB, PAGE: 32 << 10, VERSION: 16 * MIB, EVENT: MIB, DIRECTORY: 16 * MIB}
KINDS = {BLOCKS: {BLOCK}, META: {PAGE, VERSION, EVENT, DIRECTORY}}
RECORD_MAGIC, PACK_MAGIC, SEAL_MAGIC, FILE_MAGIC = (b"\x89PS%s\x01" % x for x in (b"recd", b"pack", b"seal", b"file"))
CANCELLED_BY = {"remove": "undelete", "protect": "unprotect", "tag": "untag"}  # types of events (10)
PROBLEMS = Exception  # whatever damaged bytes may make this program, the libraries and the disk do
warn = functools.partial(print, "rescue.py:", file=sys.stderr)
Map = dict[str, Any]
Document = tuple[int, bytes, bytes]  # (8): type, 0 if of a later format; header and body; MAC


class RescueError(Exception):
    """A message, and the exit code should there be nothing else to try."""

    def __str__(self) -> str:
        return str(self.args[0])


def need(condition: object, message: str, code: int = 40) -> None:
    """Raise RescueError unless the condition holds."""
    if not condition:
        raise RescueError(message, code)


def read_at(path: Path, offset: int, size: int) -> bytes:
    """Read a range of a file; less only where the file ends."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def decode(data: bytes) -> Map:
    """Decode canonical msgpack, a map (3)."""
    value = dict(msgpack.unpackb(data))
    need(msgpack.packb(value) == data and list(value) == sorted(value), "not canonical msgpack")
    return value


def documents(path: Path) -> Iterator[Document]:
    """The documents under NAME and NAME.copy that decode (8); one, if they are equal."""
    seen = b""
    for place in (path, path.with_name(path.name + ".copy")):
        try:
            data = read_at(place, 0, (16 << 10) + 81)
            magic, kind, reserved, body_size = unpack("<8sB3sI", data[:16])
            need(magic[:7] == FILE_MAGIC[:7] and len(data) == 80 + body_size, "not a document of packstore, or cut off")
            need(hashlib.sha512(data[:-32]).digest()[:32] == data[-32:], "damaged: its checksum is wrong")
            if data != seen:
                yield kind if magic == FILE_MAGIC and not any(reserved) else 0, data[:-64], data[-64:-32]
            seen = data
        except PROBLEMS as error:
            warn(f"{place}: {error}")


class Repository:
    """A repository: its keys, where its objects lie, its versions and what was said about them."""

    def __init__(self, path: Path) -> None:
        self.path, self.id16, self.encrypted, self.complete = path, b"", True, True
        self.keys: dict[str, bytes] = {}  # by label (4)
        self.record_keys: dict[tuple[bool, bytes], tuple[int, bytes]] = {}  # (of blocks?, key id): (encryption, key)
        self.places: dict[bytes, list[tuple[Path, int]]] = {}  # kind and object id: packs and offsets
        self.known: dict[Path, list[list[Any]]] = {}  # what directories in meta/ say about packs of blocks
        self.versions, self.events, self.walked = list[Map](), list[Map](), set[Path]()

    def prf(self, key: bytes, label: str, context: bytes = b"") -> bytes:
        """PRF of the specification: 64 bytes (4)."""
        return hmac.digest(key, b"packstore/1/%s\0" % label.encode() + self.id16 + context, "sha512")

    def set_root(self, root: bytes, document: Document) -> None:
        """Derive what depends on the root secret, and check the MAC of a document with it."""
        self.keys = {label: self.prf(root, label)[:32] for label in ("id", "pack", "keys", "domain")} | {"root": root}
        self.check_mac("keys", *document[1:])

    def check_mac(self, label: str, message: bytes, mac: bytes) -> None:
        """Raise RescueError unless the MAC of the message is right."""
        need(hmac.compare_digest(self.prf(self.keys[label], "mac", message)[:32], mac), "its MAC is wrong: forged?")

    def open(self, key_path: str | None) -> None:
        """Open the repository with its file or the copy of that."""
        need({"packstore", "packstore.copy"} & {*glob("*", root_dir=self.path)}, f"{self.path}: no repository", 11)
        problem: Exception = RescueError("neither packstore nor packstore.copy can be used", 40)
        for document in documents(self.path / "packstore"):
            try:
                return self.unlock(document, key_path)
            except PROBLEMS as error:
                problem = error
        raise problem

    def unlock(self, document: Document, key_path: str | None) -> None:
        """Open the repository with one of the two copies of its file (8.1)."""
        body = decode(document[1][16:]) if document[0] else {}
        need(body.get("format") == 1 and not body["features"]["read"], "a repository of a later format", 13)
        self.id16, self.encrypted = body["id"], body["root"] is None
        secrets, folder, root = find_secrets(key_path, ask=self.encrypted), self.path / "keys", body["root"]
        need(self.encrypted or not secrets, "it is not encrypted: is it the repository of that passphrase or key?", 22)
        names = sorted({name[:32] for end in ("", ".copy") for name in glob(HEX_ID + end, root_dir=folder)})
        files = [(name, copy) for name in names for copy in documents(folder / name)]
        files.sort(key=lambda file: file[1][0])  # slots before epochs
        doubt = 22 if {name for name, _ in files} == set(names) else 40
        for number, (name, copy) in enumerate(files):
            try:
                if copy[0] == SLOT and not root and number < MAX_SLOTS:
                    root = self.open_slot(name, copy, secrets)
                elif copy[0] == EPOCH and root:
                    self.open_epoch(name, copy)
            except PROBLEMS as error:
                warn(f"keys/{name}: {error}")
                doubt = 40
        need(root, "wrong passphrase or key file, or damage: no slot opens", doubt)
        self.set_root(root, document)

    def open_slot(self, name: str, document: Document, secrets: dict[int, bytes]) -> bytes | None:
        """Try the secrets on a slot (8.2): the root secret, or None if it is for others."""
        body = decode(document[1][16:])
        header = decode(body["header"])
        key = secrets.get({1: 1, 2: 2, 3: 2}.get(header["kind"], 0), b"")
        if key and header["kind"] == 1:
            cost = header["passes"], header["memory"]
            need(cost[0] in range(1, 21) and 8 * MIB <= cost[1] <= 2048 * MIB, "asks for too much memory or time")
            key = sodium.crypto_pwhash_alg(32, key, header["salt"], *cost, sodium.crypto_pwhash_ALG_ARGON2ID13)
        wrap = self.prf(key, "slot", body["header"])
        if not key or not hmac.compare_digest(wrap[32:], body["commitment"]):
            return None
        plain = CIPHERS[1][0](body["sealed"], body["header"], body["nonce"], wrap[:32])
        self.slot = header["id"], header["public_key"], plain[32:]
        need(name == self.slot[0].hex() and sodium.crypto_scalarmult_base(plain[32:]) == self.slot[1], "forged?")
        self.set_root(plain[:32], document)
        return plain[:32]

    def open_epoch(self, name: str, document: Document) -> None:
        """Open an epoch with the slot that is open, and derive its record keys (8.3)."""
        self.check_mac("keys", *document[1:])
        body = decode(document[1][16:])
        box = dict(body["sealed"]).get(self.slot[0], b"")
        need(box and body["id"].hex() == name and body["encryption"] in CIPHERS, "not for this passphrase or key file")
        secret = sodium.crypto_box_seal_open(box, *self.slot[1:])
        epoch_key = self.prf(self.keys["root"], "epoch", pack("<I", body["number"]) + secret)[:32]
        for label in ("data", "meta"):
            key = self.prf(epoch_key, label)[:32]
            self.record_keys[label == "data", self.prf(key, "key id")[:8]] = (body["encryption"], key)

    def open_record(self, path: Path, offset: int, kinds: set[int], wanted: bytes) -> tuple[int, bytes, int, bytes]:
        """Read and open one record (6.1, 6.4): kind, object id, size in the pack, plaintext."""
        header = read_at(path, offset, 104)
        magic, kind, zipped, cipher, zero1, size, length, zero2, key_id, object_id = unpack("<8s4B3I8s64s8x", header)
        need(magic == RECORD_MAGIC and kind in kinds and wanted in {b"", object_id}, "not the record expected there")
        need(not zero1 + zero2 and zipped <= 1 and 0 < size <= LARGEST[kind] and length <= size + 64, "impossible")
        need(self.encrypted == bool(cipher) == any(key_id), "encrypted, or not, against the rule")
        body = read_at(path, offset + 104, length)
        if cipher:
            version, key = self.record_keys.get((kind == BLOCK, key_id), (0, b""))
            need(version == cipher, "no epoch has its key")
            decrypt, nonce = CIPHERS[version]  # (6.5)
            body = decrypt(body[nonce:], header[:96], body[:nonce], key)
        if zipped:
            frame = zstandard.get_frame_parameters(body)
            need(frame.content_size == size and not frame.dict_id, "its zstd frame says another size")
            body = zstandard.ZstdDecompressor().decompress(body, allow_extra_data=False)
        actual = hmac.digest(self.keys["id"], body, "sha512") if self.encrypted else hashlib.sha512(body).digest()
        need(len(body) == size and actual == object_id, "damaged: its id is wrong")
        return kind, object_id, 104 + length, body

    def walk(self, path: Path, kinds: set[int]) -> Iterator[list[Any]]:
        """Find the records of a pack by their magic (7.5); only those that open count."""
        offset, size = 0, os.path.exists(path) and path.stat().st_size
        self.walked.add(path)
        while offset < size:
            step = 1 << 16
            with suppress(PROBLEMS):
                found = read_at(path, offset, step + 7).find(RECORD_MAGIC)
                offset, step = offset + max(found, 0), step if found < 0 else 1
                kind, object_id, step, _ = self.open_record(path, offset, kinds, b"")
                yield [kind, object_id, offset]
            offset += step

    def records(self, path: Path, kind: int) -> Iterator[list[Any]]:
        """The records of a pack: as the directory at its end says (7.4), else those that are found in it."""
        try:
            size, name = path.stat().st_size, bytes.fromhex(path.name)
            header, trailer = read_at(path, 0, 64), read_at(path, max(0, size - 88), 88)
            magic, offset, length, count, *seal, mac = unpack("<8sQII16s8s32s8x", trailer)
            need(magic == SEAL_MAGIC and length <= 16 * MIB and offset + length + 88 == size, "damaged at its end")
            start = pack("<8sB7x16s16s8s", PACK_MAGIC, kind, name, self.id16, self.keys["domain"][:8])
            need(header[:56] == start and seal == [name, start[48:]], "damaged, or not the pack that its name says")
            self.check_mac("pack", header + (data := read_at(path, offset, length)) + trailer[:48], mac)
            need((body := decode(data))["pack"] == name and count == len(body["records"]), "a malformed directory")
            yield from (entry for entry in body["records"] if entry[0] in KINDS[kind])
        except PROBLEMS as error:
            warn(f"{path}: {error}: looking for its records one by one")
            self.complete = False
            yield from self.walk(path, KINDS[kind])

    def scan(self, pattern: str, kind: int) -> None:
        """Note where the records of all packs of a type lie."""
        for path in [self.path / name for name in sorted(glob(pattern + HEX_ID, root_dir=self.path))]:
            self.note(path, self.known.pop(path, []) or self.records(path, kind))

    def note(self, path: Path, entries: Iterable[list[Any]]) -> None:
        """Remember where the records of a pack lie."""
        for kind, object_id, offset, *_ in entries:
            self.places.setdefault(bytes([kind]) + object_id, []).append((path, offset))

    def fetch(self, kind: int, object_id: bytes) -> bytes:
        """Read an object, from the first place that gives it; the packs of bad places are searched for others (14)."""
        problem = "no pack holds it"
        for path, offset in self.places.get(bytes([kind]) + object_id, []):  # which may grow on the way
            try:
                return self.open_record(path, offset, {kind}, object_id)[3]
            except PROBLEMS as error:
                problem = f"{path} at {offset}: {error}"
                if path not in self.walked:
                    self.note(path, self.walk(path, KINDS[BLOCKS if kind == BLOCK else META]))
        raise RescueError(problem, 40)

    def load(self) -> None:
        """Read all packs under meta/, and all versions and events in them."""
        self.scan("meta/", META)
        for kind, object_id in sorted(((key[0], key[1:]) for key in self.places if key[0] != PAGE), reverse=True):
            try:
                body = decode(self.fetch(kind, object_id))
                need(not body.get("features"), f"features that this program does not know: {body.get('features')}")
                if kind == DIRECTORY:
                    name = body["pack"].hex()
                    self.known[self.path / f"packs/{name[-2:]}/{name}"] = [entry[:3] for entry in body["records"]]
                elif kind == EVENT:
                    hash((body["id"], body["type"], body["value"], *body["versions"], *body["cancels"]))  # or malformed
                    self.events.append(body)
                else:
                    self.versions.append(self.fold(body))
            except PROBLEMS as error:
                warn(f"a version, an event or a directory cannot be read: {error}")
                self.complete = False
        self.versions.sort(key=lambda version: (version["volume"], version["counter"], version["uid"]))

    def fold(self, version: Map) -> Map:
        """Examine a version, and add what the events say (10): whether it is removed, and its tags."""
        about = [event for event in self.events if version["uid"] in event["versions"]]
        cancelled = {(event["type"], id16) for event in about for id16 in event["cancels"]}
        standing = [event for event in about if (CANCELLED_BY.get(event["type"]), event["id"]) not in cancelled]
        undeletes = {event["id"] for event in about if event["type"] == "undelete"}
        said = {event["type"] for event in standing if event["type"] != "gone" or undeletes <= {*event["cancels"]}}
        removed = "protect" not in said and not said.isdisjoint({"remove", "gone"})
        tags = {*version["tags"]} - {event["value"] for event in about if event["type"] == "untag"}
        tags |= {event["value"] for event in standing if event["type"] == "tag"}
        need([type(version[key]) for key in ("size", "counter", "volume")] == [int, int, str], "a malformed version")
        date = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(min(version["date_ms"] // 1000, 1 << 37)))
        return version | {"date": date, "uid": version["uid"].hex(), "removed": removed, "tags": tags}

    def choose(self, text: str) -> Map:
        """The version that the user means."""
        volume, back, day = (re.findall(r"^([^~@]*)(?:~(\d+)|@(\d{4}-\d\d-\d\d))?$", text) or [("", "", "")])[0]
        found = [v for v in self.versions if v["volume"] == volume and not v["removed"] and v["date"] < day + "A"]
        by_uid = [version for version in self.versions if version["uid"].startswith(text.lower())]
        found = by_uid if len(by_uid) == 1 and (by_uid[0]["uid"] == text.lower() or not found) else found
        need(len(found) > int(back or 0), f"{text}: no such version, or several: `ls` shows all", 14)
        return found[-1 - int(back or 0)]

    def tree(self, version: Map, object_id: bytes, level: int, index: int) -> Iterator[tuple[int, int, bytes, str]]:
        """Yield offset, length, bytes (none: zeros), problem of all below a page, or of a block: level -1 (9.3)."""
        span = version["block_size"] * FANOUT ** (level + 1)
        length, data, ids, problem = min(span, version["size"] - index * span), b"", b"", ""
        try:
            if object_id != NO_ID and level < 0:
                need(len(data := self.fetch(BLOCK, object_id)) == length, "a block of the wrong length")
            elif object_id != NO_ID:
                page = decode(self.fetch(PAGE, object_id))
                need(page["level"] == level and len(page["ids"]) == -(-length * FANOUT // span) * 64, "not its page")
                ids = page["ids"]
        except PROBLEMS as error:
            data, problem = b"", str(error)
        for entry in range(len(ids) // 64):
            yield from self.tree(version, ids[entry * 64 :][:64], level - 1, index * FANOUT + entry)
        if not ids:
            yield index * span, length, data, problem

    def restore(self, version: Map, out: str) -> int:
        """Write a version, with zeros where something cannot be read. Returns the exit code."""
        bad, sparse = list[tuple[int, int, str]](), out != "-"
        level = next(level for level in range(8) if version["block_size"] * FANOUT ** (level + 1) >= version["size"])
        with open(out if sparse else 1, "xb" if sparse else "wb", closefd=sparse) as file:
            if sparse:
                file.truncate(version["size"])
            for offset, length, data, problem in self.tree(version, version["root"], level, 0):
                if problem:
                    start = bad.pop()[0] if bad and bad[-1][1] == offset else offset
                    bad.append((start, offset + length, problem))
                if sparse:
                    file.seek(offset)
                file.write(data)
                file.writelines(bytes(min(MIB, length - at)) for at in range(len(data), 0 if sparse else length, MIB))
        for offset, length in version["unreadable"]:
            warn(f"zeros at bytes {offset}-{offset + length - 1}: unreadable already when the backup was made")
        for start, end, problem in bad:
            warn(f"BAD: zeros at bytes {start}-{end - 1}: {problem}")
        return 40 if bad else 0


def find_secrets(key_path: str | None, *, ask: bool) -> dict[int, bytes]:
    """What the user has given: a passphrase (1) and the secret of a key file (2, 8.4); asks if there is neither."""
    secrets, data, env = {}, None, os.environ.get
    if key_path:
        digits = Path(key_path).read_bytes().upper().translate(bytes.maketrans(b"OIL", b"011"), b" -\t\r\n")
        number = sum(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".find(x) << 5 * at for at, x in enumerate(digits[::-1][:36]))
        secrets[2] = (number >> 20 & (1 << 160) - 1).to_bytes(20, "big")
        check = int(hashlib.sha512(b"packstore/1/secret\0" + secrets[2]).hexdigest()[:5], 16)
        need(len(digits) == SECRET_DIGITS and check == number % MIB, f"{key_path}: no key file, or a typing error", 22)
    if text := env("PACKSTORE_PASSPHRASE"):
        data = os.fsencode(text)
    elif name := env("PACKSTORE_PASSPHRASE_FILE"):
        data = Path(name).read_bytes()
    elif command := env("PACKSTORE_PASSPHRASE_COMMAND"):
        data = subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE).stdout  # noqa: S602
    elif ask and not secrets:
        data = getpass.getpass("Passphrase: ").encode()
    if data is not None:
        secrets[1] = unicodedata.normalize("NFC", data.decode().removesuffix("\n").removesuffix("\r")).encode()
    return secrets


def main() -> int:
    """Do what the command line says. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="ls REPO | restore REPO VERSION OUT")
    parser.add_argument("--key-file", default=os.environ.get("PACKSTORE_KEY_FILE"))
    args = parser.parse_intermixed_args()
    command, repo, text, out = [*args.words, "", "", "", ""][:4]
    if (command, len(args.words)) not in {("ls", 2), ("restore", 4)}:
        parser.error("say `ls REPO` or `restore REPO VERSION OUT`")
    try:
        need(command == "ls" or out == "-" or not os.path.lexists(out), f"{out} exists: choose another name", 2)
        repository = Repository(Path(repo))
        repository.open(args.key_file)
        repository.load()
        if command == "restore":
            version, complete = repository.choose(text), repository.complete
            repository.scan("packs/[0-9a-f][0-9a-f]/", BLOCKS)
            code = repository.restore(version, out)
            need(complete or version["uid"].startswith(text.lower()), "done, but damage may hide a later version")
            return code
        for v in repository.versions:
            notes = ["REMOVED"] * v["removed"] + ["UNREADABLE RANGES"] * bool(v["unreadable"]) + sorted(v["tags"])
            line = "  ".join([v["uid"], v["date"], f"{v['size']:>15}", v["volume"], *map(str, notes)])
            print("".join(char if char.isprintable() else "?" for char in line))
    except (PROBLEMS, KeyboardInterrupt) as error:
        warn(str(error) or "stopped")
        return int(error.args[1]) if isinstance(error, RescueError) else 1
    return 0 if repository.complete else 40


if __name__ == "__main__":
    sys.exit(main())
