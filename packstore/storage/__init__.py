"""Places for named, immutable files. Nothing here knows what a pack is."""
