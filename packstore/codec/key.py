"""Secret bytes, all of them: passphrases, secrets, root secrets, keys.

Python can neither lock nor wipe `bytes`. What can be kept is that a secret is never shown by accident: not in a log,
not in a traceback that prints variables, not in a pickle that goes to another process.
After: every other module of codec.
"""

import hmac
from typing import NoReturn, SupportsIndex


class Key:
    """Some secret bytes. Cannot be shown, formatted or pickled; is compared in constant time."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @property
    def secret(self) -> bytes:
        """The bytes; for who computes with them."""
        return self._secret

    def __repr__(self) -> str:
        return "Key(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> NoReturn:
        raise TypeError("keys are not hashed")

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("keys are not pickled")
