"""Prints what the tests of src/transform/random.rs expect: a second ChaCha8, written from RFC 8439 with 8 rounds for 20.

    python chacha8.py
"""

import struct

ROUNDS = [
    *[(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)],
    *[(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)],
]


def block(*key):
    """The first 16 words of the stream whose key is four 64-bit numbers."""
    start = struct.unpack("<12I", b"expand 32-byte k" + struct.pack("<4Q", *key)) + (0,) * 4
    words = list(start)

    def step(into, other, target, shift):
        words[into] = (words[into] + words[other]) % 2**32
        mixed = words[target] ^ words[into]
        words[target] = (mixed << shift | mixed >> 32 - shift) % 2**32

    for a, b, c, d in ROUNDS * 4:
        step(a, b, d, 16)
        step(c, d, b, 12)
        step(a, b, d, 8)
        step(c, d, b, 7)
    return [(a + b) % 2**32 for a, b in zip(start, words)]


print("seed 7, purpose 1, epoch 2, index 3:", block(7, 1, 2, 3)[:2])

words, order = iter(block(0, 1, 0, 0)), list(range(8))
for last in range(7, 0, -1):
    drawn = (next(words) << 32 | next(words)) * (last + 1) >> 64
    order[last], order[drawn] = order[drawn], order[last]
print("seed 0, purpose 1, epoch 0, index 0, permutation of 8:", order)
