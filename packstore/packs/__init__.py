"""Records into packs, packs out of a storage."""
