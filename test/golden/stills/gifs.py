"""GIF files, honest and odd: name, bytes."""

import struct

import numpy as np

TABLE = bytes(v for i in range(256) for v in ((i * 37) % 256, (i * 91 + 40) % 256, 255 - i))


def indices(width, height, colours, seed=1):
    y, x = np.mgrid[0:height, 0:width]
    return ((x * 3 + y * 5 + (x * y * seed) % 7) % colours).astype(int).ravel().tolist()


def noise(count, colours, seed=5):
    return np.random.RandomState(seed).randint(0, colours, count).tolist()


def lzw(pixels, size, *, first_clear=True, end=True, defer=False, late_junk=b""):
    """Codes as most encoders write them; `defer` never clears a full table."""
    clear, stop = 1 << size, (1 << size) + 1
    bits, out, nbits = 0, bytearray(), 0

    def put(code, width):
        nonlocal bits, nbits
        bits |= code << nbits
        nbits += width
        while nbits >= 8:
            out.append(bits & 255)
            bits >>= 8
            nbits -= 8

    width, table, following = size + 1, {}, stop + 1
    if first_clear:
        put(clear, width)
    string = ()
    for pixel in pixels:
        longer = string + (pixel,)
        if len(longer) == 1 or longer in table:
            string = longer
            continue
        put(table[string] if len(string) > 1 else string[0], width)
        if following < 4096:
            table[longer] = following
            if following == 1 << width and width < 12:
                width += 1
            following += 1
        elif not defer:
            put(clear, width)
            width, table, following = size + 1, {}, stop + 1
        string = (pixel,)
    if string:
        put(table[string] if len(string) > 1 else string[0], width)
    if end:
        if following == 1 << width and width < 12:
            width += 1
        put(stop, width)
    if nbits:
        out.append(bits & 255)
    return bytes(out) + late_junk


def blocks(data, length=255):
    return b"".join(bytes([len(data[i : i + length])]) + data[i : i + length] for i in range(0, len(data), length)) + b"\0"


def header(width, height, colours=0, version=b"GIF89a", background=0, table=TABLE):
    flags = 0x80 | (colours.bit_length() - 2) if colours else 0
    return version + struct.pack("<HHBBB", width, height, flags, background, 0) + table[: 3 * colours]


def control(transparent=None, disposal=0, delay=0):
    return b"!\xf9\x04" + struct.pack("<BHBB", disposal << 2 | (transparent is not None), delay, transparent or 0, 0)


def frame(x, y, width, height, size, data, colours=0, interlaced=False, table=TABLE[300:] + TABLE, length=255):
    flags = (0x80 | (colours.bit_length() - 2) if colours else 0) | (0x40 if interlaced else 0)
    start = b"," + struct.pack("<HHHHB", x, y, width, height, flags) + table[: 3 * colours]
    return start + bytes([size]) + blocks(data, length)


def plain(width, height, colours=16, size=4, **more):
    return frame(0, 0, width, height, size, lzw(indices(width, height, colours), size), **more)


def files():
    yield "gif87a", header(9, 7, 16, b"GIF87a") + plain(9, 7) + b";"
    yield "gif88a", header(9, 7, 16, b"GIF88a") + plain(9, 7) + b";"
    yield "local table", header(9, 7, 16) + plain(9, 7, colours=16) + b";"
    yield "local table alone", header(9, 7) + plain(9, 7, colours=16) + b";"
    yield "no table", header(9, 7) + plain(9, 7) + b";"
    yield "table of four, colours of sixteen", header(9, 7, 4) + plain(9, 7) + b";"
    yield "grey table of four", header(9, 7, 4, table=bytes([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])) + plain(9, 7) + b";"
    yield "grey table", header(9, 7, 256, table=bytes(i for i in range(256) for _ in "rgb")) + plain(9, 7) + b";"
    yield "256 colours", header(30, 20, 256) + frame(0, 0, 30, 20, 8, lzw(noise(600, 256), 8)) + b";"
    for height in (1, 2, 3, 4, 5, 8, 9, 17):
        yield f"interlaced, {height} rows", header(5, height, 16) + plain(5, height, interlaced=True) + b";"
    yield "transparent", header(9, 7, 16) + control(3) + plain(9, 7) + b";"
    yield "transparent beyond the table", header(9, 7, 16) + control(200) + plain(9, 7) + b";"
    yield "transparent, grey", header(9, 7) + control(3) + plain(9, 7) + b";"
    inner = frame(2, 1, 4, 3, 4, lzw(indices(4, 3, 16), 4))
    yield "part of the screen", header(9, 7, 16, background=5) + inner + b";"
    yield "part of the screen, transparent", header(9, 7, 16, background=5) + control(3) + inner + b";"
    yield "part of the screen, no table", header(9, 7) + inner + b";"
    yield "larger than the screen", header(5, 4, 16) + plain(9, 7) + b";"
    yield "larger than the screen, transparent", header(5, 4, 16) + control(3) + plain(9, 7) + b";"
    yield "wider, and moved", header(5, 9, 16) + frame(3, 1, 6, 3, 4, lzw(indices(6, 3, 16), 4)) + b";"
    yield "no screen", header(0, 0, 16) + plain(9, 7) + b";"
    yield "no screen, moved", header(0, 0, 16) + frame(3, 2, 6, 3, 4, lzw(indices(6, 3, 16), 4)) + b";"
    yield "no width", header(9, 7, 16) + frame(0, 0, 0, 7, 4, lzw([0], 4)) + b";"
    yield "no height", header(9, 7, 16) + frame(2, 2, 3, 0, 4, lzw([0], 4)) + b";"
    yield "no trailer", header(9, 7, 16) + plain(9, 7)
    yield "no trailer, no last block", header(9, 7, 16) + plain(9, 7)[:-1]
    yield "trailing bytes", header(9, 7, 16) + plain(9, 7) + b";" + b"rubbish, \0;" * 9
    yield "bytes between blocks", header(9, 7, 16) + b"\0\0\xff\1" + control(3) + b"\0x" + plain(9, 7) + b";"
    comment = b"!\xfe" + blocks(b"a comment of two blocks" * 20)
    loop = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    text = b"!\x01\x0c" + bytes(12) + b"\x05hello\x00"
    yield "comment", header(9, 7, 16) + comment + comment + plain(9, 7) + b";"
    yield "empty comment", header(9, 7, 16) + b"!\xfe\0" + plain(9, 7) + b";"
    yield "application", header(9, 7, 16) + loop + control(3) + plain(9, 7) + b";"
    yield "plain text", header(9, 7, 16) + text + plain(9, 7) + b";"
    yield "unknown extension", header(9, 7, 16) + b"!\x77\x03abc\x02de\0" + plain(9, 7) + b";"
    yield "two controls", header(9, 7, 16) + control(3) + control(None) + control(5) + plain(9, 7) + b";"
    yield "a control without transparency after one", header(9, 7, 16) + control(3) + control(None) + plain(9, 7) + b";"
    yield "short control", header(9, 7, 16) + b"!\xf9\x02\x01\x03\0" + plain(9, 7) + b";"
    yield "long control", header(9, 7, 16) + b"!\xf9\x06\x01\0\0\x03\0\0\0" + plain(9, 7) + b";"
    yield "cut in an extension", header(9, 7, 16) + b"!\xfe\x20abc"
    yield "cut in a table", header(9, 7, 16)[:40]
    yield "cut in a frame's place", header(9, 7, 16) + plain(9, 7)[:6]
    yield "only a header", header(9, 7, 16) + b";"
    for size in range(0, 14):
        colours = min(1 << size, 256)
        yield f"code size {size}", header(9, 7, 256) + frame(0, 0, 9, 7, size, lzw(indices(9, 7, colours), size)) + b";"
    yield "code size 255", header(9, 7, 256) + frame(0, 0, 9, 7, 255, lzw(indices(9, 7, 2), 2)) + b";"
    many = noise(130 * 90, 256)
    yield "cleared tables", header(130, 90, 256) + frame(0, 0, 130, 90, 8, lzw(many, 8)) + b";"
    yield "deferred clear", header(130, 90, 256) + frame(0, 0, 130, 90, 8, lzw(many, 8, defer=True)) + b";"
    long = [0] * (300 * 300)
    yield "long strings", header(300, 300, 4) + frame(0, 0, 300, 300, 2, lzw(long, 2, defer=True)) + b";"
    pixels = indices(9, 7, 16)
    yield "no first clear", header(9, 7, 16) + frame(0, 0, 9, 7, 4, lzw(pixels, 4, first_clear=False)) + b";"
    yield "no end code", header(9, 7, 16) + frame(0, 0, 9, 7, 4, lzw(pixels, 4, end=False)) + b";"
    yield "an early end code", header(9, 7, 16) + frame(0, 0, 9, 7, 4, lzw(pixels[:50], 4)) + b";"
    yield "too few codes", header(9, 7, 16) + frame(0, 0, 9, 7, 4, lzw(pixels[:50], 4, end=False)) + b";"
    yield "no data", header(9, 7, 16) + frame(0, 0, 9, 7, 4, b"") + b";"
    yield "too many pixels", header(9, 7, 16) + frame(0, 0, 9, 7, 4, lzw(pixels * 3, 4)) + b";"
    yield "data after the end code", header(9, 7, 16) + frame(0, 0, 9, 7, 4, lzw(pixels, 4, late_junk=b"junk" * 99)) + b";"
    yield "blocks of one byte", header(9, 7, 16) + plain(9, 7, length=1) + b";"
    data = lzw(pixels, 4)
    split = b"".join(bytes([1]) + data[i : i + 1] + (b"\0" if i == 3 else b"") for i in range(len(data))) + b"\0"
    yield "an empty block within", header(9, 7, 16) + plain(9, 7)[:10] + b"\4" + split + b";"
    yield "cut in its data", (header(9, 7, 16) + plain(9, 7))[:-12]
    yield "a code before its string", header(9, 7, 16) + frame(0, 0, 9, 7, 4, bytes([0x10, 0xFE, 0xFF])) + b";"
    yield "a code that is its own string", header(2, 2, 2, table=b"\0\0\0\xff\xff\xff") + frame(0, 0, 2, 2, 2, b"\x86\1") + b";"
    second = control(None) + frame(1, 1, 3, 3, 4, lzw(indices(3, 3, 16, 2), 4), colours=16)
    yield "first of two", header(9, 7, 16) + plain(9, 7) + second + b";"
    yield "first of two, cut in the second", (header(9, 7, 16) + plain(9, 7) + second)[:-4]
    yield "first of two, the second larger", header(4, 4, 16) + plain(5, 4) + plain(9, 7) + b";"
