"""miniSEED 3, written by pymseed."""

import numpy as np
from pymseed import DataEncoding, MS3Record

ENCODINGS = {
    "STEIM1": np.int32,
    "STEIM2": np.int32,
    "INT16": np.int32,
    "INT32": np.int32,
    "FLOAT32": np.float32,
    "FLOAT64": np.float64,
}
"""What pymseed writes, and what samples it takes for it."""

START_NS = 1_700_000_000_123_456_789
CRC_AT = 28


def pack3(
    samples,
    source="FDSN:XX_ABC_00_H_H_Z",
    *,
    start_ns=START_NS,
    rate_hz=100.0,
    encoding="STEIM2",
    reclen=512,
    version=1,
    extra=None,
):
    """Return the records; a negative rate is a period in seconds."""
    record = MS3Record()
    record.formatversion = 3
    record.sourceid = source
    record.starttime = start_ns
    record.samprate = rate_hz
    record.encoding = DataEncoding[encoding]
    record.reclen = reclen
    record.pubversion = version
    if extra:
        record.extra = extra
    kind = {np.int32: "i", np.float32: "f", np.float64: "d"}[ENCODINGS[encoding]]
    return list(record.generate(np.ascontiguousarray(samples, ENCODINGS[encoding]), kind))


def _remainder(byte):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_REMAINDERS = [_remainder(byte) for byte in range(256)]


def crc32c(data):
    """CRC-32C (RFC 3720)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _REMAINDERS[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def sealed(data):
    """Give a record that was changed the checksum that fits it."""
    data = bytearray(data)
    data[CRC_AT : CRC_AT + 4] = bytes(4)
    data[CRC_AT : CRC_AT + 4] = crc32c(data).to_bytes(4, "little")
    return bytes(data)
