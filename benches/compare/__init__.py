"""Serinus beside what it would be used instead of: `make bench`."""
