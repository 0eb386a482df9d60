"""Fixtures of the damage tests."""

from tests.support.places import fast_path, module_path

__all__ = ["fast_path", "module_path"]
