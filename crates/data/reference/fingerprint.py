"""Prints the hash that the tests of src/load/fingerprint.rs expect: a second BLAKE3, written from its paper, for up to
1024 bytes.

    python fingerprint.py
"""

import struct

IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
ROUNDS = [
    *[(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)],
    *[(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)],
]
CHUNK_START, CHUNK_END, ROOT = 1, 2, 8


def compress(chain, block, flags):
    """The next chaining value: 8 words."""
    words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    state = chain + IV[:4] + [0, 0, len(block), flags]

    def step(into, other, target, shift, word):
        state[into] = (state[into] + state[other] + word) % 2**32
        mixed = state[target] ^ state[into]
        state[target] = (mixed >> shift | mixed << 32 - shift) % 2**32

    for _ in range(7):
        for place, (a, b, c, d) in enumerate(ROUNDS):
            step(a, b, d, 16, words[2 * place])
            step(c, d, b, 12, 0)
            step(a, b, d, 8, words[2 * place + 1])
            step(c, d, b, 7, 0)
        words = [words[place] for place in PERMUTATION]
    return [low ^ high for low, high in zip(state[:8], state[8:])]


def blake3(data):
    assert len(data) <= 1024, "only one chunk"
    blocks = [data[at : at + 64] for at in range(0, max(1, len(data)), 64)]
    chain = IV
    for place, block in enumerate(blocks):
        flags = CHUNK_START * (place == 0) | (CHUNK_END | ROOT) * (place == len(blocks) - 1)
        chain = compress(chain, block, flags)
    return struct.pack("<8I", *chain).hex()


def fingerprint(samples):
    number = struct.Struct("<Q").pack
    framed = [number(len(name.encode())) + name.encode() + number(size) for name, size in samples]
    return blake3(number(len(samples)) + b"".join(framed))


# The paper's authors publish this one.
assert blake3(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
print("no sample:", fingerprint([]))
print("three samples:", fingerprint([("cat_1", 4097), ("Käthe", 0), ("", 2**40)]))
