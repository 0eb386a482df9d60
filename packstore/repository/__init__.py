"""The only layer that knows where everything is: keys, packs, index, versions, writers."""
