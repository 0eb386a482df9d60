"""From plaintext to payload and back: compression, encryption, keys."""
