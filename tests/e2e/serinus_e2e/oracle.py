"""The default assignment, written anew from its description.

A second opinion: the tests compare where a real Envoy sent a key with what this says.
"""

from __future__ import annotations

SLOTS = 1_000_000
_MASK = 0xFFFF_FFFF


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & _MASK


def murmur3_x86_32(data: bytes) -> int:
    """MurmurHash3_x86_32 with seed 0."""
    state = 0
    for at in range(0, len(data), 4):
        word = int.from_bytes(data[at : at + 4], "little")
        word = _rotate(word * 0xCC9E2D51 & _MASK, 15) * 0x1B873593 & _MASK
        state ^= word
        if at + 4 <= len(data):
            state = (_rotate(state, 13) * 5 + 0xE6546B64) & _MASK
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & _MASK
    state = (state ^ state >> 13) * 0xC2B2AE35 & _MASK
    return state ^ state >> 16


def slot(salt: str, key: str) -> int:
    """Where a key falls: 0..999,999."""
    return murmur3_x86_32(f"{salt}:{key}".encode()) * SLOTS >> 32


def keys_in(salt: str, low: int, high: int, count: int) -> list[str]:
    """The first `count` of user-0, user-1, … whose slot is at least `low` and below `high`."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        key = f"user-{number}"
        if low <= slot(salt, key) < high:
            found.append(key)
        number += 1
    return found
