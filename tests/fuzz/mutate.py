"""Inputs made from seeds by damage; the same numbers give the same input."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from tests.mseed3 import sealed

LARGEST_BYTES = 1 << 15

Mutator = Callable[[bytearray, random.Random], None]

_INTERESTING = sorted(
    {
        sign * (1 << bits) + step
        for bits in range(0, 65, 1)
        for sign in (1, -1)
        for step in (-1, 0, 1)
    }
)
_WORDS = (
    b"-1",
    b"0",
    b"1e999",
    b"nan",
    b"inf",
    b"9" * 20,
    b"9" * 5000,
    b"1e-400",
    b"0x7f",
    b"null",
)
_NUMBER = re.compile(rb"\d+")


def make_input(
    seeds: Sequence[bytes],
    name: str,
    seed: int,
    index: int,
    *,
    tokens: Sequence[bytes] = (),
    own: Sequence[Mutator] = (),
) -> bytes:
    """Make the input of that number: the seeds themselves first, then damaged ones.

    Args:
        seeds: undamaged inputs, at least one.
        name: of the target.
        seed: of chance.
        index: number of the input.
        tokens: words that mean something in the format.
        own: damage that knows the format, chosen half of the time.
    """
    if index < len(seeds):
        return seeds[index]
    rng = random.Random(f"{name}/{seed}/{index}")
    data = bytearray(rng.choice(seeds))
    for _ in range(1 << rng.randrange(4)):
        if own and rng.random() < 0.5:
            rng.choice(own)(data, rng)
            continue
        mutator = rng.choice(_GENERAL)
        if mutator is splice:
            splice(data, rng, rng.choice(seeds))
        elif mutator is put_token:
            put_token(data, rng, tokens)
        else:
            mutator(data, rng)
    return bytes(data[:LARGEST_BYTES])


def flip_bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 8) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def set_bytes(data: bytearray, rng: random.Random) -> None:
    if data:
        at = rng.randrange(len(data))
        value = rng.choice((b"\x00", b"\xff", b" ", rng.randbytes(1)))
        length = min(rng.choice((1, 1, 2, 4, 16, 200)), len(data) - at)
        data[at : at + length] = value * length


def put_integer(data: bytearray, rng: random.Random) -> None:
    size = rng.choice((1, 2, 4, 8))
    if len(data) >= size:
        put_at(data, rng.randint(0, len(data) - size), rng.choice(_INTERESTING), size, _order(rng))


def put_at(data: bytearray, at: int, value: int, size: int, order: str) -> None:
    """Overwrite an integer where there is room for it."""
    raw = (value & ((1 << 8 * size) - 1)).to_bytes(size, order)  # type: ignore[arg-type]
    if at + size <= len(data):
        data[at : at + size] = raw


def truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randint(0, len(data)) :]


def remove(data: bytearray, rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    del data[at : at + rng.choice((1, 1, 2, 7, 64, 512))]


def repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    part = bytes(data[at : at + rng.choice((1, 4, 8, 64, 512))])
    times = rng.choice((1, 1, 1, 2, 3, 10, 300))
    data[at:at] = (part * times)[:LARGEST_BYTES]


def insert(data: bytearray, rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 1, 2, 7, 64, 512)))


def replace_number(data: bytearray, rng: random.Random) -> None:
    """Put another number where digits stand."""
    found = list(_NUMBER.finditer(data, 0, 4096))
    if found:
        match = rng.choice(found)
        word = rng.choice(_WORDS) if rng.random() < 0.5 else b"%d" % rng.choice(_INTERESTING)
        data[match.start() : match.end()] = word


def splice(data: bytearray, rng: random.Random, other: bytes = b"") -> None:
    """Go on with a part of another seed."""
    begin = rng.randint(0, len(other))
    end = rng.randint(begin, len(other))
    at = rng.randint(0, len(data))
    data[at : at + rng.choice((0, end - begin, len(data)))] = other[begin:end]


def put_token(data: bytearray, rng: random.Random, tokens: Sequence[bytes] = ()) -> None:
    token = rng.choice(tokens) if tokens else rng.choice(_WORDS)
    at = rng.randint(0, len(data))
    data[at : at + rng.choice((0, len(token)))] = token


def _order(rng: random.Random) -> str:
    return rng.choice(("big", "little"))


_GENERAL: tuple[Callable[..., None], ...] = (
    flip_bits,
    flip_bits,
    set_bytes,
    put_integer,
    put_integer,
    truncate,
    remove,
    repeat,
    insert,
    replace_number,
    splice,
    put_token,
)


# miniSEED 2: what the fixed header and the blockettes say.

_FIELDS = {
    20: 2,
    22: 2,
    24: 1,
    25: 1,
    26: 1,
    28: 2,
    30: 2,
    32: 2,
    34: 2,
    36: 1,
    39: 1,
    40: 4,
    44: 2,
    46: 2,
}
_YEARS_IN_BOTH_ORDERS = (0x0707, 0x0706, 0x0708, 0x0807, 0x07E4, 0xE407)
_BLOCKETTES = (100, 200, 500, 1000, 1000, 1001, 2000, 65535)


def _a_record(data: bytearray, rng: random.Random) -> int:
    """Return where a record may begin."""
    return rng.randrange(0, max(len(data) // 128, 1)) * 128 if rng.random() < 0.3 else 0


def mseed_field(data: bytearray, rng: random.Random) -> None:
    at, size = rng.choice(list(_FIELDS.items()))
    value = rng.choice((rng.randrange(1 << 8 * size), rng.choice(_INTERESTING), 0, 48, 64, 56))
    put_at(data, _a_record(data, rng) + at, value, size, _order(rng))


def mseed_year(data: bytearray, rng: random.Random) -> None:
    """A year that is one in both byte orders, or in the other one."""
    put_at(data, _a_record(data, rng) + 20, rng.choice(_YEARS_IN_BOTH_ORDERS), 2, "big")


def mseed_chain(data: bytearray, rng: random.Random) -> None:
    """A chain of blockettes: with loops, twice the same, beyond the end, of tiny length."""
    start = _a_record(data, rng)
    at = rng.choice((48, 48, 48, 52, 56, 64, 40, 0, 500))
    order = _order(rng)
    put_at(data, start + 46, at, 2, order)
    for number in range(1, rng.choice((1, 2, 3, 20)) + 1):
        kind = rng.choice(_BLOCKETTES)
        following = rng.choice((0, at + 4, at + 8, at + 8, at + 16, 48, at, 65535, len(data) - 4))
        put_at(data, start + at, kind, 2, order)
        put_at(data, start + at + 2, following if number else 0, 2, order)
        if kind == 2000:
            put_at(data, start + at + 4, rng.choice((0, 1, 8, 15, 16, 65535)), 2, order)
        if kind == 1000:
            codes = bytes(
                (rng.choice((0, 1, 3, 4, 5, 10, 11, 16, 19, 30, 32, 255)), rng.randrange(2))
            )
            exponent = rng.choice((7, 8, 9, 9, 9, 12, 20, 21, 31, 32, 63, 255, 0))
            data[start + at + 4 : start + at + 7] = codes + bytes((exponent,))
        if not 0 < following < len(data):
            break
        at = following


def mseed_repeat(data: bytearray, rng: random.Random) -> None:
    """The same records again, or those of another length between them."""
    length = rng.choice((128, 256, 512))
    at = rng.randrange(0, max(len(data) // length, 1)) * length
    data[at:at] = bytes(data[at : at + length]) * rng.choice((1, 1, 3, 30))


_FIELDS_3 = {2: 1, 4: 4, 8: 2, 10: 2, 12: 1, 15: 1, 16: 8, 22: 2, 24: 4, 33: 1, 34: 2, 36: 4}


def mseed3_field(data: bytearray, rng: random.Random) -> None:
    """Change a header of miniSEED 3, or what lies behind it; then the checksum fits, or not."""
    places = [found.start() for found in re.finditer(rb"MS\x03", data)]
    if not places:
        return
    start = rng.choice(places)
    at, size = rng.choice((*_FIELDS_3.items(), (rng.randrange(40, 300), 1)))
    value = rng.choice((rng.randrange(1 << 8 * size), rng.choice(_INTERESTING), 0, 10, 11, 40))
    put_at(data, start + at, value, size, "little")
    length = 40 + sum(
        int.from_bytes(data[start + a : start + b], "little")
        for a, b in ((33, 34), (34, 36), (36, 40))
    )
    if start + length <= len(data) and rng.random() < 0.7:
        data[start : start + length] = sealed(data[start : start + length])


MSEED = (
    mseed_field,
    mseed_field,
    mseed_year,
    mseed_chain,
    mseed_chain,
    mseed_repeat,
    mseed3_field,
    mseed3_field,
)
