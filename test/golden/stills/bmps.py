"""BMP files, honest and odd: name, bytes."""

import struct

import numpy as np

WIDTH, HEIGHT = 11, 7


def values(most, seed=1, width=WIDTH, height=HEIGHT):
    y, x = np.mgrid[0:height, 0:width]
    return (x * 5 + y * 11 + x * y * seed) % most


def padded(row):
    return row + bytes(-len(row) % 4)


def rows(pixels, bits):
    """Bottom up."""
    out = b""
    for row in pixels[::-1]:
        if bits < 8:
            digits = ((row.reshape(-1, 1) >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
            out += padded(np.packbits(digits.ravel()).tobytes())
        else:
            out += padded(b"".join(int(value).to_bytes(bits // 8, "little") for value in row))
    return out


def colours(count, step=4):
    return b"".join(bytes([i * 7 % 256, (255 - i) % 256, i * 31 % 256, 9][:step]) for i in range(count))


def bmp(bits, body, palette=b"", *, size=40, compression=0, height=HEIGHT, width=WIDTH, used=0, masks=b"", offset=None, behind=b"", planes=1):
    if size == 12:
        head = struct.pack("<IHHHH", 12, width, height, planes, bits)
    else:
        head = struct.pack("<IIiHHIIIIII", size, width, height, planes, bits, compression, len(body), 2835, 2835, used, 0)
        head = (head + masks).ljust(size, b"\0") if size > 40 else head + masks
    start = 14 + len(head) + len(palette)
    at = start if offset is None else offset
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, at) + head + palette + body + behind


def masks(*values):
    return struct.pack(f"<{len(values)}I", *values)


def runs8(pixels):
    out = b""
    for row in pixels[::-1]:
        for value in row:
            out += bytes([1, value])
        out += b"\0\0"
    return out + b"\0\1"


def files():
    for bits in (1, 4, 8):
        pixels = values(1 << bits)
        table = colours(1 << bits)
        yield f"{bits} bits", bmp(bits, rows(pixels, bits), table)
        yield f"{bits} bits, OS/2", bmp(bits, rows(pixels, bits), colours(1 << bits, 3), size=12)
        yield f"{bits} bits, top down", bmp(bits, rows(pixels[::-1], bits), table, height=-HEIGHT)
        yield f"{bits} bits, pointing at the palette", bmp(bits, rows(pixels, bits), table, offset=54)
        yield f"{bits} bits, pointing nowhere", bmp(bits, rows(pixels, bits), table, offset=0)
    yield "black and white", bmp(1, rows(values(2), 1), bytes([0, 0, 0, 0, 255, 255, 255, 0]))
    yield "white and black", bmp(1, rows(values(2), 1), bytes([255, 255, 255, 0, 0, 0, 0, 0]))
    yield "grey", bmp(8, rows(values(256), 8), b"".join(bytes([i, i, i, 0]) for i in range(256)))
    yield "few colours", bmp(8, rows(values(5), 8), colours(5), used=5)
    yield "indices beyond the colours", bmp(8, rows(values(9), 8), colours(5), used=5)
    yield "4 bits, few colours", bmp(4, rows(values(5), 4), colours(5), used=5)
    yield "more colours than 256", bmp(8, rows(values(9), 8), colours(300), used=300)
    yield "many colours that are not there", bmp(4, rows(values(5), 4), colours(16), used=3000, offset=54 + 64)
    for width in (1, 2, 3, 4, 5, 8, 9):
        yield f"1 bit, width {width}", bmp(1, rows(values(2, 1, width), 1), colours(2), width=width)
    for bits in (16, 24, 32):
        pixels = (values(1 << 16, 7).astype(object) * 40503 + 77) % (1 << bits)
        body = rows(pixels, bits)
        yield f"{bits} bits", bmp(bits, body)
        yield f"{bits} bits, OS/2", bmp(bits, body, size=12)
        yield f"{bits} bits, top down", bmp(bits, rows(pixels[::-1], bits), height=-HEIGHT)
        for size in (52, 56, 64, 108, 124):
            yield f"{bits} bits, header of {size}", bmp(bits, body, size=size)
        yield f"{bits} bits, with a palette", bmp(bits, body, colours(5), used=5)
    wide = rows((values(1 << 16, 7).astype(object) * 40503 + 77) % (1 << 32), 32)
    short = rows(values(1 << 16, 3333), 16)
    yield "5-6-5", bmp(16, short, masks=masks(0xF800, 0x7E0, 0x1F), compression=3)
    yield "5-5-5", bmp(16, short, masks=masks(0x7C00, 0x3E0, 0x1F), compression=3)
    yield "4-4-4", bmp(16, short, masks=masks(0xF00, 0xF0, 0xF), compression=3)
    yield "5-6-5, header of 124", bmp(16, short, size=124, masks=masks(0xF800, 0x7E0, 0x1F, 0), compression=3)
    sets = [
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0, 0, 0, 0),
        (0xFF, 0xFF00, 0xFF0000, 0),
    ]
    for i, found in enumerate(sets):
        yield f"masks {i}", bmp(32, wide, size=124, masks=masks(*found), compression=3)
        yield f"masks {i}, short header", bmp(32, wide, masks=masks(*found[:3]), compression=3)
    yield "masks, header of 52", bmp(32, wide, size=52, masks=masks(*sets[0][:3]), compression=3)
    yield "masks, header of 56", bmp(32, wide, size=56, masks=masks(*sets[5]), compression=3)
    yield "24 bits with masks", bmp(24, rows(values(1 << 16, 7) * 99, 24), masks=masks(*sets[0][:3]), compression=3)
    yield "8 bits with masks", bmp(8, rows(values(9), 8), masks=masks(*sets[0][:3]), compression=3)

    pixels = values(256)
    yield "runs of 8", bmp(8, runs8(pixels), colours(256), compression=1)
    yield "runs of 8, top down", bmp(8, runs8(pixels), colours(256), compression=1, height=-HEIGHT)
    yield "runs of 8, no end", bmp(8, runs8(pixels)[:-2], colours(256), compression=1)
    yield "runs of 8, cut", bmp(8, runs8(pixels)[:-30], colours(256), compression=1)
    long = (b"\xff\x07\0\0" * HEIGHT) + b"\0\1"
    yield "runs beyond the row", bmp(8, long, colours(256), compression=1)
    literal = b"".join(b"\0\x05abcde\0" + b"\0\x06ghijkl" + b"\0\0" for _ in range(HEIGHT)) + b"\0\1"
    yield "literal runs", bmp(8, literal, colours(256), compression=1)
    jumps = b"\3\5\0\2\2\1\4\7\0\0" + b"\x0b\x09\0\0" * HEIGHT + b"\0\1"
    yield "jumps", bmp(8, jumps, colours(256), compression=1)
    yield "jumps past the end", bmp(8, b"\0\2\xff\xff" * 3, colours(256), compression=1)
    yield "early end of the picture", bmp(8, b"\x0b\x09\0\0\0\1", colours(256), compression=1)
    yield "rows that are too short", bmp(8, b"\3\x09\0\0" * HEIGHT + b"\0\1", colours(256), compression=1)
    four = b"".join(b"\x05\x37\x06\x1a\0\0" for _ in range(HEIGHT)) + b"\0\1"
    yield "runs of 4", bmp(4, four, colours(16), compression=2)
    four = b"".join(b"\0\x08\x12\x34\x56\x78\x03\x9a\0\0" for _ in range(HEIGHT)) + b"\0\1"
    yield "literal runs of 4", bmp(4, four, colours(16), compression=2)
    four = b"".join(b"\0\x07\x12\x34\x56\x78\x04\x9a\0\0" for _ in range(HEIGHT)) + b"\0\1"
    yield "odd literal runs of 4", bmp(4, four, colours(16), compression=2)
    yield "runs of 4 in 8 bits", bmp(8, four, colours(256), compression=2)
    yield "runs of 24 bits", bmp(24, four, compression=1)

    body = rows(values(256), 8)
    yield "cut in the last row's padding", bmp(8, body, colours(256))[:-1]
    yield "cut in the last row", bmp(8, body, colours(256))[:-2]
    yield "cut in the palette", bmp(8, body, colours(256))[:300]
    yield "cut in the header", bmp(8, body, colours(256))[:40]
    yield "trailing bytes", bmp(8, body, colours(256), behind=b"more" * 30)
    yield "header of 41", bmp(8, body, colours(256), size=41)
    yield "2 bits", bmp(2, body, colours(4))
    yield "JPEG inside", bmp(24, body, compression=4)
    yield "compression 9", bmp(24, body, compression=9)
    yield "no width", bmp(8, body, colours(256), width=0)
    yield "no height", bmp(8, body, colours(256), height=0)
    yield "planes 0", bmp(8, body, colours(256), planes=0)
