"""Devices and images, to read from and to write to. Nothing here knows what a repository is."""
