"""Prints the values that the tests in src/frame.rs expect: python3 reference/framing.py

Written from the definitions alone (CRC-32C: RFC 3720, polynomial 0x1EDC6F41 reflected, bit by bit; the mask and the
order of the fields: tensorflow/core/lib/io/record_writer.h and crc32c.h), with no library, so that it shares no mistake
with the crate.
"""

import struct


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data):
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


assert crc32c(bytes(32)) == 0x8A9136AA
assert crc32c(b"123456789") == 0xE3069283
print("mask of the checksum of 32 zeros", hex(masked(bytes(32))))
for data in [b"", b"oxiseg"]:
    print(repr(data.decode()), frame(data).hex())
