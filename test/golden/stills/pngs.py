"""PNG files, honest and odd: name, bytes."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
WIDTH, HEIGHT = 11, 9
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}


def chunk(kind, body=b"", crc=None):
    check = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


def header(depth, colour, width=WIDTH, height=HEIGHT, interlaced=0, compression=0, filters=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, compression, filters, interlaced))


def values(depth, colour, width=WIDTH, height=HEIGHT):
    """u16 [height, width, channels]; 16-bit shades start low, so that clipping shows."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * (7 + c) + y * (13 - c) + x * y * (c + 1)) * (61 if depth == 16 else 1) for c in range(CHANNELS[colour])]
    return (np.stack(planes, axis=-1) % (1 << depth)).astype(np.uint16)


def packed(row, depth):
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    bits = ((row.reshape(-1, 1) >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8)
    return np.packbits(bits.ravel()).tobytes()


def rows(pixels, depth, interlaced=False):
    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [pixels]
    return b"".join(b"\0" + packed(row, depth) for part in passes if part.size for row in part)


def filtered(pixels, bytes_per_pixel):
    """Rows of 8 bits with all five filters in turn."""
    out, before = b"", np.zeros(pixels[0].size, int)
    for y, row in enumerate(pixels.reshape(len(pixels), -1).astype(int)):
        left = np.concatenate([np.zeros(bytes_per_pixel, int), row[:-bytes_per_pixel]])
        corner = np.concatenate([np.zeros(bytes_per_pixel, int), before[:-bytes_per_pixel]])
        guess = left + before - corner
        near = np.stack([abs(guess - left), abs(guess - before), abs(guess - corner)]).argmin(0)
        paeth = np.choose(near, [left, before, corner])
        predicted = [0, left, before, (left + before) // 2, paeth][y % 5]
        out += bytes([y % 5]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        before = row
    return out


def data(raw, kind=b"IDAT"):
    return chunk(kind, zlib.compress(raw))


def png(depth, colour, *extra, interlaced=0, end=chunk(b"IEND"), tail=b""):
    raw = rows(values(depth, colour), depth, bool(interlaced))
    return SIGNATURE + header(depth, colour, interlaced=interlaced) + b"".join(extra) + data(raw) + tail + end


def colours(count):
    return chunk(b"PLTE", bytes((i * 53 + c * 91) % 256 for i in range(count) for c in range(3)))


def exif(orientation):
    return b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1" + struct.pack(">HH", orientation, 0) + bytes(4)


def files():
    names = {GREY: "grey", RGB: "rgb", PALETTE: "palette", GREY_ALPHA: "grey and alpha", RGBA: "rgb and alpha"}
    kinds = [(GREY, d) for d in (1, 2, 4, 8, 16)] + [(PALETTE, d) for d in (1, 2, 4, 8)]
    kinds += [(c, d) for c in (RGB, GREY_ALPHA, RGBA) for d in (8, 16)]
    for colour, depth in kinds:
        table = [colours(1 << depth)] if colour == PALETTE else []
        for interlaced in (0, 1):
            name = f"{names[colour]}, {depth} bits" + (", interlaced" if interlaced else "")
            yield name, png(depth, colour, *table, interlaced=interlaced)
    for colour, size in ((GREY, 1), (RGB, 3), (RGBA, 4)):
        pixels = values(8, colour)
        yield f"{names[colour]}, all filters", SIGNATURE + header(8, colour) + data(filtered(pixels, size)) + chunk(b"IEND")
    yield "one pixel, interlaced", SIGNATURE + header(8, RGB, 1, 1, 1) + data(b"\0abc") + chunk(b"IEND")
    yield "interlaced, flag 5", png(8, RGB)[:28] + header(8, RGB, interlaced=5)[20:] + data(rows(values(8, RGB), 8, True)) + chunk(b"IEND")
    yield "compression 7", SIGNATURE + header(8, RGB, compression=7) + data(rows(values(8, RGB), 8)) + chunk(b"IEND")
    yield "filters 1", SIGNATURE + header(8, RGB, filters=1) + data(rows(values(8, RGB), 8)) + chunk(b"IEND")

    yield "grey with a transparent shade", png(8, GREY, chunk(b"tRNS", struct.pack(">H", 20)))
    yield "bilevel with a transparent shade", png(1, GREY, chunk(b"tRNS", b"\0\1"))
    yield "16-bit grey with a transparent shade", png(16, GREY, chunk(b"tRNS", struct.pack(">H", 61 * 20)))
    yield "rgb with a transparent colour", png(8, RGB, chunk(b"tRNS", struct.pack(">HHH", 20, 21, 22)))
    pixel = values(8, RGB)[3, 4]
    yield "rgb with a transparent colour in it", png(8, RGB, chunk(b"tRNS", struct.pack(">HHH", *pixel)))
    yield "a transparent shade of one byte", png(8, GREY, chunk(b"tRNS", b"\1"))
    yield "a transparent colour of two bytes", png(8, RGB, chunk(b"tRNS", b"\0\1"))
    yield "a transparent shade with more bytes", png(8, GREY, chunk(b"tRNS", b"\0\x14junk"))
    yield "transparency of grey and alpha", png(8, GREY_ALPHA, chunk(b"tRNS", b"\0\1"))
    yield "palette with a transparent entry", png(4, PALETTE, colours(16), chunk(b"tRNS", b"\xff\xff\0\xff"))
    yield "palette with alpha", png(4, PALETTE, colours(16), chunk(b"tRNS", bytes(range(0, 256, 16))))
    yield "palette with more alpha than colours", png(2, PALETTE, colours(4), chunk(b"tRNS", bytes(range(0, 200, 2))))
    yield "palette with empty alpha", png(2, PALETTE, colours(4), chunk(b"tRNS"))
    yield "alpha before the palette", png(2, PALETTE, chunk(b"tRNS", b"\0\x80"), colours(4))
    yield "alpha after the pixels", png(2, PALETTE, colours(4), tail=chunk(b"tRNS", b"\0\x80"))
    yield "a palette that is too short", png(4, PALETTE, colours(5))
    yield "a palette that is too long", png(2, PALETTE, colours(16))
    yield "a palette of 257", png(8, PALETTE, colours(257))
    yield "a palette of 7 bytes", png(8, PALETTE, chunk(b"PLTE", b"abcdefg"))
    yield "an empty palette", png(8, PALETTE, chunk(b"PLTE"))
    yield "no palette", png(4, PALETTE)
    yield "two palettes", png(4, PALETTE, colours(3), chunk(b"PLTE", bytes(range(48))))
    yield "a palette after the pixels", png(4, PALETTE, tail=colours(16))
    yield "rgb with a palette", png(8, RGB, colours(9))

    profile = b"name\0\0" + zlib.compress(b"no profile" * 9)
    yield "profile", png(8, RGB, chunk(b"iCCP", profile))
    yield "profile whose data is broken", png(8, RGB, chunk(b"iCCP", profile[:9] + b"\xff\xff" + profile[11:]))
    yield "profile that is cut", png(8, RGB, chunk(b"iCCP", profile[:12]))
    yield "profile in an unknown compression", png(8, RGB, chunk(b"iCCP", b"name\0\x07" + profile[6:]))
    yield "profile without a name", png(8, RGB, chunk(b"iCCP", b"name"))
    yield "empty profile", png(8, RGB, chunk(b"iCCP"))
    yield "a wrong checksum of a profile", png(8, RGB, chunk(b"iCCP", profile, crc=1))
    yield "a wrong checksum of a text", png(8, RGB, chunk(b"tEXt", b"Title\0x", crc=1))
    yield "a wrong checksum of the header", SIGNATURE + header(8, RGB)[:-1] + b"\0" + data(rows(values(8, RGB), 8)) + chunk(b"IEND")
    yield "a wrong checksum of a text behind", png(8, RGB, tail=chunk(b"tEXt", b"Title\0x", crc=1))
    raw = zlib.compress(rows(values(8, RGB), 8))
    start = SIGNATURE + header(8, RGB)
    yield "a wrong checksum of the pixels", start + chunk(b"IDAT", raw, crc=1) + chunk(b"IEND")
    yield "a wrong checksum of the end", png(8, RGB, end=chunk(b"IEND", crc=1))
    yield "short chunks", png(8, RGB, chunk(b"gAMA", b"\0\0\1\0"), chunk(b"cHRM", b""), chunk(b"sRGB", b"\0"), chunk(b"bKGD", b""))
    yield "gamma of two bytes", png(8, RGB, chunk(b"gAMA", b"\0\1"))
    yield "an empty sRGB", png(8, RGB, chunk(b"sRGB"))
    yield "a size in pixels of five bytes", png(8, RGB, chunk(b"pHYs", b"\0\0\0\1\0"))
    yield "texts", png(8, RGB, chunk(b"tEXt", b"no separator"), chunk(b"zTXt", b"key\0\0broken"), chunk(b"iTXt", b"key\0"))
    yield "unknown chunks", png(8, RGB, chunk(b"abCd", b"x" * 30), chunk(b"vpAg", b"y"), chunk(b"ABCD", b"z"))
    yield "a chunk without a name", png(8, RGB, chunk(b"ab d", b"x"))
    yield "a text behind the pixels", png(8, RGB, tail=chunk(b"tEXt", b"Title\0x"))

    yield "no end", png(8, RGB, end=b"")
    yield "no end, no checksum", png(8, RGB, end=b"")[:-4]
    yield "half an end", png(8, RGB)[:-9]
    longer = zlib.compress(rows(values(8, RGB), 8) + bytes(50))
    yield "data broken behind the pixels", start + chunk(b"IDAT", longer[:-12] + b"\xff" * 8, crc=1) + chunk(b"IEND")
    plain = bytearray(zlib.compress(rows(values(8, RGB), 8), 0))
    plain[60] ^= 1
    yield "a damaged pixel", start + chunk(b"IDAT", bytes(plain), crc=1) + chunk(b"IEND")
    yield "trailing bytes", png(8, RGB) + b"trailing bytes" * 30
    yield "pixels in many chunks", start + b"".join(chunk(b"IDAT", raw[i : i + 3]) for i in range(0, len(raw), 3)) + chunk(b"IEND")
    yield "empty chunks of pixels", start + chunk(b"IDAT") + chunk(b"IDAT", raw) + chunk(b"IDAT") + chunk(b"IEND")
    yield "pixels after another chunk", start + chunk(b"IDAT", raw[:40]) + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", raw[40:]) + chunk(b"IEND")
    yield "cut in the pixels", (start + chunk(b"IDAT", raw))[:-60]
    yield "too few pixels", start + data(rows(values(8, RGB), 8)[:-50]) + chunk(b"IEND")
    yield "too many pixels", start + data(rows(values(8, RGB), 8) + bytes(500)) + chunk(b"IEND")
    yield "no checksum of the data", start + chunk(b"IDAT", raw[:-4]) + chunk(b"IEND")
    yield "bytes behind the data", start + chunk(b"IDAT", raw + b"more") + chunk(b"IEND")
    yield "an unknown filter", start + data(b"\x09" + rows(values(8, RGB), 8)[1:]) + chunk(b"IEND")
    yield "a text behind that is cut", png(8, RGB, end=chunk(b"tEXt", b"Title\0" + b"x" * 50)[:-20])
    yield "no pixels", start + chunk(b"IEND")
    yield "no header", SIGNATURE + chunk(b"IDAT", raw) + chunk(b"IEND")
    yield "a header of 12 bytes", SIGNATURE + chunk(b"IHDR", header(8, RGB)[8:20]) + chunk(b"IDAT", raw) + chunk(b"IEND")
    yield "a header of 14 bytes", SIGNATURE + chunk(b"IHDR", header(8, RGB)[8:21] + b"\0") + chunk(b"IDAT", raw) + chunk(b"IEND")
    yield "a text before the header", SIGNATURE + chunk(b"tEXt", b"a\0b") + header(8, RGB) + chunk(b"IDAT", raw) + chunk(b"IEND")
    yield "rgb of 4 bits", png(4, RGB)
    yield "pixels of kind 5", SIGNATURE + header(8, 5) + chunk(b"IDAT", raw) + chunk(b"IEND")
    yield "no width", SIGNATURE + header(8, RGB, 0) + chunk(b"IDAT", raw) + chunk(b"IEND")

    for value in range(1, 10):
        yield f"exif orientation {value}", png(8, RGB, chunk(b"eXIf", exif(value)))
    yield "exif behind the pixels", png(8, RGB, tail=chunk(b"eXIf", exif(6)))
    yield "two exif", png(8, RGB, chunk(b"eXIf", exif(6)), chunk(b"eXIf", exif(3)))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    yield "xmp orientation", png(8, RGB, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))

    xml = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)
    yield "compressed xmp orientation", png(8, RGB, chunk(b"iTXt", xml))
    yield "broken xmp", png(8, RGB, chunk(b"iTXt", xml[:22] + b"broken" + xml[28:]))
    raw_exif = f"\nexif\n{len(exif(6)) + 6:8}\n{(b'Exif' + bytes(2) + exif(6)).hex()}\n".encode()
    yield "exif as text", png(8, RGB, chunk(b"tEXt", b"Raw profile type exif\0" + raw_exif))
    yield "exif as compressed text", png(8, RGB, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_exif)))
    yield "exif as text and as a chunk", png(8, RGB, chunk(b"tEXt", b"Raw profile type exif\0" + raw_exif), chunk(b"eXIf", exif(3)))
    yield "an end of 9 bytes", png(8, RGB, end=chunk(b"IEND", b"123456789")[:-8])

    control = struct.pack(">IIIIIHHBB", 0, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0)
    moves = chunk(b"acTL", struct.pack(">II", 2, 0))
    second = struct.pack(">IIIIIHHBB", 1, 3, 2, 1, 1, 1, 10, 0, 0)
    patch = struct.pack(">I", 2) + zlib.compress(rows(values(8, RGB, 3, 2), 8))
    frames = chunk(b"fcTL", second) + chunk(b"fdAT", patch)
    yield "animation", png(8, RGB, moves, chunk(b"fcTL", control), tail=frames)
    yield "animation behind another picture", png(8, RGB, moves, tail=frames.replace(b"", b""))
    yield "animation, cut in its second frame", png(8, RGB, moves, chunk(b"fcTL", control), tail=frames[:-30], end=b"")
    yield "short frame control", png(8, RGB, moves, chunk(b"fcTL", control[:20]))
