"""Object id to location: a local cache that can be deleted at any moment."""
