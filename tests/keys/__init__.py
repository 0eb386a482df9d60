"""Slots, epochs and what happens to a repository while they change."""
