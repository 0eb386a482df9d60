"""Pure functions between bytes and values: no I/O, no clock, no randomness.

Every module here implements one section of spec/FORMAT.md. A decoder raises `FormatError` and nothing
else, whatever the bytes.
"""
