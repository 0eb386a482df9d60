"""A storage that writes down what is asked of it."""

from collections import Counter
from typing import Any

from packstore.storage.base import Storage

_RECORDED = {"exists", "size", "read", "list_files", "create", "put", "hold", "is_held", "delete", "unfinished"}


class RecordingStorage:
    """Passes everything on to another storage, and keeps (operation, name) in order."""

    def __init__(self, inner: Storage) -> None:
        self.inner = inner
        self.calls: list[tuple[str, str]] = []
        self.before: dict[str, Any] = {}
        """By operation: called with the name before the operation is passed on."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name not in _RECORDED:
            return found

        def call(*args: Any, **more: Any) -> Any:
            self.calls.append((name, args[0]))
            if name in self.before:
                self.before[name](args[0])
            return found(*args, **more)

        return call

    def count(self) -> Counter[str]:
        """Return how often each operation was asked for."""
        return Counter(name for name, _ in self.calls)
