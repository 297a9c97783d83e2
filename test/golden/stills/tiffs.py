"""TIFF files, honest and odd: name, bytes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from .gifs import noise

WIDTH, HEIGHT = 11, 9
BYTE, ASCII, SHORT, LONG, RATIONAL = 1, 2, 3, 4, 5
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, 16: 8}
RAW, HUFFMAN, GROUP3, GROUP4, LZW, JPEG, DEFLATE, PACKBITS = 1, 2, 3, 4, 5, 7, 8, 32773
INVERTED, GREY, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6


def samples(count, bits, width=WIDTH, height=HEIGHT):
    """[height, width, count]"""
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * (7 + c) + y * (13 - c) + x * y * (c + 1)) * (61 if bits > 8 else 1) for c in range(count)]
    return np.stack(planes, axis=-1) % (1 << min(bits, 31))


def pack(rows, bits, order, kind="u"):
    """Rows of samples, each at a whole byte."""
    if bits in (8, 16, 32):
        letter = {"u": "u", "s": "i", "f": "f"}[kind]
        return b"".join(row.astype(f"{order}{letter}{bits // 8}").tobytes() for row in rows)
    out = b""
    for row in rows:
        digits = ((row.reshape(-1, 1) >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
        out += np.packbits(digits.ravel()).tobytes()
    return out


def lzw(data):
    bits, value, out, width, table = 0, 0, bytearray(), 9, {}

    def put(code):
        nonlocal bits, value
        value = value << width | code
        bits += width
        while bits >= 8:
            bits -= 8
            out.append(value >> bits & 255)
        value &= (1 << bits) - 1

    def reset():
        nonlocal width, table
        put(256)
        width, table = 9, {bytes([i]): i for i in range(256)}

    reset()
    string, following = b"", 258
    for i in range(len(data)):
        longer = string + data[i : i + 1]
        if longer in table:
            string = longer
            continue
        put(table[string])
        table[longer] = following
        following += 1
        if following == 4095:
            reset()
            following = 258
        elif following + 1 > (1 << width):
            width += 1
        string = data[i : i + 1]
    put(table[string])
    following += 1
    if following + 1 > (1 << width) and width < 12:
        width += 1
    put(257)
    if bits:
        out.append(value << 8 - bits & 255)
    return bytes(out)


def packbits(data):
    out = b""
    for i in range(0, len(data), 7):
        part = data[i : i + 7]
        repeats = len(set(part)) == 1 and len(part) > 1
        out += bytes([257 - len(part), part[0]]) if repeats else bytes([len(part) - 1]) + part
        out += b"\x80"  # says nothing
    return out


CODERS = {RAW: bytes, LZW: lzw, DEFLATE: zlib.compress, PACKBITS: packbits}


def differences(rows, order, count, bits):
    """Predictor 2: rows of samples to differences."""
    out = rows.astype(np.int64).copy()
    out[:, count:] -= rows.astype(np.int64)[:, :-count]
    return out % (1 << bits)


def assemble(entries, blocks, order="<", big=False, offsets=273, counts=279, after=b"", before=b""):
    """Header, data, directory. `entries` are tag: (type, values) or tag: values."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + ("HHHQ" if big else "HI"), *([43, 8, 0, 0] if big else [42, 0]))
    at, places = len(head) + len(before), []
    for block in blocks:
        places.append(at)
        at += len(block)
    tags = dict(entries)
    if offsets:
        tags.setdefault(offsets, (LONG, places))
    if counts:
        tags.setdefault(counts, (LONG, [len(block) for block in blocks]))
    body = b"".join(blocks)
    at += at % 2
    start = at
    step, most = (20, 8) if big else (12, 4)
    at += (8 if big else 2) + step * len(tags) + (8 if big else 4)
    directory, values = struct.pack(order + ("Q" if big else "H"), len(tags)), b""
    for tag in sorted(tags):
        kind, given = tags[tag] if isinstance(tags[tag], tuple) else (SHORT, tags[tag])
        given = given if isinstance(given, (list, bytes)) else [given]
        letter = {SHORT: "H", LONG: "I", 16: "Q", RATIONAL: "II"}.get(kind)
        data = given if isinstance(given, bytes) else struct.pack(order + letter * len(given), *given)
        directory += struct.pack(order + "HH" + ("Q" if big else "I"), tag, kind, len(data) // SIZES[kind])
        if len(data) > most:
            directory += struct.pack(order + ("Q" if big else "I"), at + len(values))
            values += data + b"\0" * (len(data) % 2)
        else:
            directory += data.ljust(most, b"\0")
    directory += bytes(8 if big else 4)
    head = head[: 8 if big else 4] + struct.pack(order + ("Q" if big else "I"), start)
    return (head + before + body).ljust(start, b"\0") + directory + values + after


def tiff(photometric, bits, count, *, order="<", coder=RAW, rows_per_strip=None, tile=None, planar=False, predictor=1,
         kind="u", extra=None, reverse=False, pixels=None, formats=None, more=None, big=False, offsets=None, drop=()):
    rows = samples(count, bits) if pixels is None else pixels
    height, width, count = rows.shape
    planes = [rows[:, :, c : c + 1] for c in range(count)] if planar else [rows]
    pieces = []
    for plane in planes:
        if tile:
            across, down = tile
            padded = np.pad(plane, ((0, -height % down), (0, -width % across), (0, 0)), mode="edge")
            pieces += [padded[y : y + down, x : x + across] for y in range(0, height, down) for x in range(0, width, across)]
        else:
            step = rows_per_strip or height
            pieces += [plane[y : y + step] for y in range(0, height, step)]
    blocks = []
    for piece in pieces:
        flat = piece.reshape(len(piece), -1)
        if predictor == 2:
            flat = differences(flat, order, piece.shape[2], bits)
        data = pack(flat, bits, order, kind)
        data = CODERS[coder](data) if coder in CODERS else coder(data)
        blocks.append(bytes(int(f"{b:08b}"[::-1], 2) for b in data) if reverse else data)
    entries = {256: width, 257: height, 258: [bits] * count, 259: coder if isinstance(coder, int) else DEFLATE, 262: photometric, 277: count}
    if not tile:
        entries[278] = rows_per_strip or height
    else:
        entries |= {322: tile[0], 323: tile[1]}
    if planar:
        entries[284] = 2
    if predictor != 1:
        entries[317] = predictor
    if extra is not None:
        entries[338] = extra
    if reverse:
        entries[266] = 2
    if formats or kind != "u":
        entries[339] = formats or [{"s": 2, "f": 3}[kind]] * count
    entries |= more or {}
    for tag in drop:
        entries.pop(tag, None)
    places = (324, 325) if tile else (273, 279)
    return assemble(entries, blocks, order, big, *places)


def colour_map(bits):
    count = 1 << bits
    return [(i * 2357 + c * 21001) % 65536 for c in range(3) for i in range(count)]


def by_pillow(image, **options):
    out = io.BytesIO()
    image.save(out, "TIFF", **options)
    return out.getvalue()


def bilevel(width=70, height=40):
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(((x // 7 + y // 5 + x * y // 60) % 2 * 255).astype(np.uint8)).convert("1")


def runs(seed, width=2700, height=48):
    """Rows of runs of every length."""
    random = np.random.RandomState(seed)
    rows = np.zeros((height, width), np.uint8)
    for row in rows:
        at = 0
        while at < width:
            length = int(random.choice([random.randint(0, 64), random.randint(0, 2600), random.randint(0, 4)]))
            if random.rand() < 0.5:
                row[at : at + length] = 255
            at += length
    return Image.fromarray(rows).convert("1")


def parts(data):
    """Tags of a file that Pillow wrote, and its strips."""
    image = Image.open(io.BytesIO(data))
    tags = image.tag_v2
    return tags, [data[o : o + n] for o, n in zip(tags[273], tags[279])]


def orders(name, make):
    for order, called in (("<", "little-endian"), (">", "big-endian")):
        yield f"{name}, {called}", make(order)


def files():
    for bits in (1, 2, 4, 8, 16):
        for photometric, called in ((INVERTED, "white is 0"), (GREY, "black is 0")):
            yield from orders(f"grey, {bits} bits, {called}", lambda order: tiff(photometric, bits, 1, order=order))
            if bits < 8 or (bits, photometric) == (8, GREY):
                yield f"grey, {bits} bits, {called}, reversed", tiff(photometric, bits, 1, reverse=True)
    for bits in (1, 2, 4, 8):
        yield f"palette, {bits} bits", tiff(PALETTE, bits, 1, more={320: colour_map(bits)})
        yield f"palette, {bits} bits, LZW", tiff(PALETTE, bits, 1, coder=LZW, more={320: colour_map(bits)})
    yield "a short palette", tiff(PALETTE, 8, 1, more={320: colour_map(4)})
    yield "no palette", tiff(PALETTE, 8, 1)
    yield "palette and alpha", tiff(PALETTE, 8, 2, extra=2, more={320: colour_map(8)})
    yield "palette and something", tiff(PALETTE, 8, 2, extra=0, more={320: colour_map(8)})
    for bits in (8, 16):
        yield from orders(f"rgb, {bits} bits", lambda order: tiff(RGB, bits, 3, order=order))
        for extra in (None, 0, 1, 2, 3):
            yield from orders(f"rgb and {extra}, {bits} bits", lambda order: tiff(RGB, bits, 4, order=order, extra=extra))
        yield from orders(f"cmyk, {bits} bits", lambda order: tiff(CMYK, bits, 4, order=order))
    yield "rgb reversed", tiff(RGB, 8, 3, reverse=True)
    yield "rgb and 999", tiff(RGB, 8, 4, extra=999)
    for extras in ([0, 0], [1, 0], [2, 0], [2, 2], [0, 0, 0], [1, 0, 0], [2, 0, 0]):
        yield f"rgb and {extras}", tiff(RGB, 8, 3 + len(extras), extra=extras)
    for extras in ([0], [0, 0], [1], [2]):
        yield f"cmyk and {extras}", tiff(CMYK, 8, 4 + len(extras), extra=extras)
    yield "grey and alpha", tiff(GREY, 8, 2, extra=2)
    yield "grey and something", tiff(GREY, 8, 2, extra=0)
    yield "grey, 12 bits", tiff(GREY, 12, 1)
    yield "grey, 12 bits, big-endian", tiff(GREY, 12, 1, order=">")
    signed = samples(1, 16).astype(np.int64) - 3000
    yield from orders("grey, 16 bits, signed", lambda order: tiff(GREY, 16, 1, kind="s", pixels=signed, order=order))
    yield "grey, 8 bits, signed", tiff(GREY, 8, 1, formats=[2])
    yield from orders("grey, 32 bits", lambda order: tiff(GREY, 32, 1, order=order))
    yield from orders("grey, 32 bits, signed", lambda order: tiff(GREY, 32, 1, kind="s", pixels=signed, order=order))
    fractions = (samples(1, 16) - 3000) / 37.0
    yield from orders("grey, fractions", lambda order: tiff(GREY, 32, 1, kind="f", pixels=fractions, order=order))
    yield "grey, fractions, LZW", tiff(GREY, 32, 1, kind="f", pixels=fractions, coder=LZW)
    yield "inverted fractions", tiff(INVERTED, 32, 1, kind="f", pixels=fractions)
    yield "rgb of 32 bits", tiff(RGB, 32, 3)
    yield "CIELab", tiff(8, 8, 3)
    yield "a mask", tiff(4, 1, 1)
    yield "YCbCr of one sample", tiff(YCBCR, 8, 1)

    names = {RAW: "plain", LZW: "LZW", DEFLATE: "deflate", PACKBITS: "packbits"}
    for coder, called in names.items():
        for rows in (1, 4, 9, 100):
            yield f"{called}, strips of {rows}", tiff(RGB, 8, 3, coder=coder, rows_per_strip=rows)
        yield f"{called}, 1 bit, strips of 4", tiff(GREY, 1, 1, coder=coder, rows_per_strip=4)
        yield f"{called}, tiles", tiff(RGB, 8, 3, coder=coder, tile=(16, 16))
        yield f"{called}, small tiles", tiff(RGB, 8, 3, coder=coder, tile=(4, 5), pixels=samples(3, 8, 13, 11))
        yield f"{called}, tiles of 1 bit", tiff(GREY, 1, 1, coder=coder, tile=(16, 16), pixels=samples(1, 1, 40, 33))
        yield f"{called}, samples apart", tiff(RGB, 8, 3, coder=coder, planar=True)
        yield f"{called}, samples apart, strips of 2", tiff(RGB, 8, 3, coder=coder, planar=True, rows_per_strip=2)
        yield f"{called}, samples with alpha apart", tiff(RGB, 8, 4, coder=coder, planar=True, extra=2)
        if coder != RAW:
            yield f"{called}, samples with something apart", tiff(RGB, 8, 4, coder=coder, planar=True, extra=0)
        yield f"{called}, inks apart", tiff(CMYK, 8, 4, coder=coder, planar=True)
        yield from orders(f"{called}, 16 bits", lambda order: tiff(RGB, 16, 3, coder=coder, order=order))
        yield from orders(f"{called}, grey of 16 bits", lambda order: tiff(GREY, 16, 1, coder=coder, order=order))
        yield f"{called}, reversed", tiff(GREY, 8, 1, coder=coder, reverse=True)
        yield f"{called}, tiles apart", tiff(RGB, 8, 3, coder=coder, planar=True, tile=(16, 16), pixels=samples(3, 8, 20, 18))
    yield "LZW, 16 bits, samples apart", tiff(RGB, 16, 3, coder=LZW, planar=True)
    for coder in (LZW, DEFLATE):
        for bits, count, photometric in ((8, 1, GREY), (8, 3, RGB), (8, 4, CMYK), (16, 1, GREY), (16, 3, RGB), (32, 1, GREY)):
            yield from orders(f"{names[coder]}, predicted, {count} of {bits} bits", lambda order: tiff(photometric, bits, count, coder=coder, predictor=2, order=order))
        yield f"{names[coder]}, predicted tiles", tiff(RGB, 8, 3, coder=coder, predictor=2, tile=(16, 16), pixels=samples(3, 8, 20, 18))
        yield f"{names[coder]}, predicted, apart", tiff(RGB, 8, 3, coder=coder, predictor=2, planar=True)
    yield "predicted, 4 bits", tiff(GREY, 4, 1, coder=LZW, predictor=1, more={317: 2})
    yield "predicted fractions", tiff(GREY, 32, 1, kind="f", coder=LZW, pixels=fractions, more={317: 3})
    yield "predictor of plain data", tiff(RGB, 8, 3, more={317: 2})
    yield "packbits, one colour", tiff(GREY, 8, 1, coder=PACKBITS, pixels=np.full((12, 20, 1), 7))
    yield "LZW, noise", tiff(GREY, 8, 1, coder=LZW, pixels=np.array(noise(90 * 70, 256)).reshape(70, 90, 1))
    yield "LZW, one colour", tiff(GREY, 8, 1, coder=LZW, pixels=np.full((120, 200, 1), 7))
    yield "LZW, cut", tiff(GREY, 8, 1, coder=LZW, more={279: (LONG, [30])})
    yield "deflate, cut", tiff(GREY, 8, 1, coder=DEFLATE, more={279: (LONG, [30])})
    yield "packbits, cut", tiff(GREY, 8, 1, coder=PACKBITS, more={279: (LONG, [30])})
    yield "deflate as 32946", tiff(RGB, 8, 3, coder=DEFLATE, more={259: 32946})
    def wrong(data):
        return zlib.compress(data)[:-1] + b"\x55"

    yield "deflate, a wrong checksum", tiff(RGB, 8, 3, coder=wrong)
    yield "too few deflated rows", tiff(RGB, 8, 3, coder=DEFLATE, more={257: 10, 278: 10})
    yield "too few LZW rows", tiff(RGB, 8, 3, coder=LZW, more={257: 10, 278: 10})

    smooth = Image.fromarray(samples(3, 8, 40, 36).astype(np.uint8))
    yield "Pillow's JPEG", by_pillow(smooth, compression="jpeg", quality=80)
    yield "Pillow's grey JPEG", by_pillow(smooth.convert("L"), compression="jpeg", quality=80)
    yield "Pillow's JPEG, strips", by_pillow(smooth, compression="jpeg", tiffinfo={278: 16})
    yield "Pillow's CMYK JPEG", by_pillow(smooth.convert("CMYK"), compression="jpeg")
    yield "Pillow's YCbCr, LZW", by_pillow(smooth.convert("YCbCr"), compression="tiff_lzw")
    yield "Pillow's Zstandard", by_pillow(smooth, compression="zstd")
    yield "Pillow's LZMA", by_pillow(smooth, compression="lzma")
    out = io.BytesIO()
    smooth.save(out, "JPEG", quality=80, subsampling=2)
    base = {256: 40, 257: 36, 258: [8, 8, 8], 259: JPEG, 262: YCBCR, 277: 3, 278: 36, 530: [2, 2]}
    yield "a JPEG file inside", assemble(base, [out.getvalue()])
    yield "JPEG of TIFF 6.0", assemble(base | {259: 6}, [out.getvalue()])
    tiles = []
    for y in (0, 32):
        for x in (0, 32):
            out = io.BytesIO()
            smooth.crop((x, y, x + 32, y + 32)).save(out, "JPEG", quality=80, subsampling=2)
            tiles.append(out.getvalue())
    tiled = {k: v for k, v in base.items() if k != 278} | {322: 32, 323: 32}
    yield "JPEG tiles", assemble(tiled, tiles, offsets=324, counts=325)

    for called, image in (("drawing", bilevel()), ("runs", runs(3)), ("more runs", runs(4)), ("one column", bilevel(1, 9)), ("white", Image.new("1", (33, 5), 255)), ("black", Image.new("1", (33, 5), 0)), ("nine columns", bilevel(9, 12))):
        for coder in ("group3", "group4", "tiff_ccitt"):
            yield f"{called}, {coder}", by_pillow(image, compression=coder)
    yield "runs, group 3 of two dimensions", by_pillow(runs(5), compression="group3", tiffinfo={292: 1})
    yield "drawing, group 3 of two dimensions, filled", by_pillow(bilevel(), compression="group3", tiffinfo={292: 5})
    yield "drawing, group 4, strips", by_pillow(bilevel(), compression="group4", tiffinfo={278: 7})
    tags, strips = parts(by_pillow(bilevel(), compression="group4"))
    fax = {256: 70, 257: 40, 259: GROUP4, 262: INVERTED, 278: 40}
    yield "group 4, white is 0", assemble(fax, strips[:1] if len(strips) == 1 else strips)
    back = [bytes(int(f"{b:08b}"[::-1], 2) for b in strip) for strip in strips]
    yield "group 4, reversed", assemble(fax | {266: 2}, back)
    yield "group 4, no end of the picture", assemble(fax, [strips[0][:-3]])
    tags, lines = parts(by_pillow(bilevel(), compression="group3"))
    old = {256: 70, 257: 40, 259: GROUP3, 262: INVERTED, 278: 40}
    damaged = bytearray(lines[0])
    damaged[len(damaged) // 2] ^= 0x3C
    yield "group 3, a damaged row", assemble(old, [bytes(damaged)])
    yield "group 3, cut in the last row", assemble(old, [lines[0][:-3]])
    yield "group 4 of 8 bits", assemble(fax | {258: 8}, strips)

    for value in range(0, 10):
        yield f"orientation {value}", tiff(RGB, 8, 3, more={274: value})
    yield "orientation 6, LZW", tiff(RGB, 8, 3, coder=LZW, more={274: 6})
    yield "orientation 6, big-endian", tiff(RGB, 8, 3, order=">", more={274: 6})
    yield "orientation 6, alpha", tiff(RGB, 8, 4, extra=2, more={274: 6})
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
    yield "orientation of xmp", tiff(RGB, 8, 3, more={700: (BYTE, xmp)})

    yield "BigTIFF", tiff(RGB, 8, 3, big=True)
    yield "BigTIFF, LZW", tiff(RGB, 8, 3, big=True, coder=LZW)
    yield "BigTIFF, orientation 6", tiff(RGB, 8, 3, big=True, more={274: 6})
    two = by_pillow(smooth, save_all=True, append_images=[smooth.convert("L")], compression="tiff_lzw")
    yield "two pages", two
    plain = tiff(RGB, 8, 3)
    yield "the other 42", plain[:2] + b"\0*" + plain[4:]
    yield "trailing bytes", plain + b"more" * 30
    yield "cut in the directory", plain[:-70]
    yield "cut in the header", plain[:6]
    yield "no directory", plain[:4] + b"\xff\xff\xff\0" + plain[8:]
    yield "no width", tiff(RGB, 8, 3, drop=[256])
    yield "a width of 0", tiff(RGB, 8, 3, more={256: 0})
    yield "no photometric", tiff(GREY, 8, 1, drop=[262])
    yield "no compression", tiff(GREY, 8, 1, drop=[259])
    yield "no bits", tiff(INVERTED, 1, 1, drop=[258])
    yield "no samples, rgb", tiff(RGB, 8, 3, drop=[277])
    yield "bits said once", tiff(RGB, 8, 3, more={258: 8})
    yield "different bits", tiff(RGB, 8, 3, more={258: [8, 8, 16]})
    yield "more bits than samples", tiff(GREY, 8, 1, more={258: [8, 8, 8]})
    yield "twenty samples", tiff(RGB, 8, 3, more={277: 20})
    yield "no samples at all", tiff(RGB, 8, 3, more={277: 0})
    yield "rows of a strip 2^32-1", tiff(RGB, 8, 3, more={278: (LONG, 0xFFFFFFFF)})
    yield "rows of a strip 2^32-1, LZW", tiff(RGB, 8, 3, coder=LZW, more={278: (LONG, 0xFFFFFFFF)})
    yield "rows of a strip not said", tiff(RGB, 8, 3, drop=[278])
    yield "rows of a strip 0", tiff(RGB, 8, 3, more={278: 0})
    yield "sizes as 32 bits", tiff(RGB, 8, 3, more={256: (LONG, WIDTH), 257: (LONG, HEIGHT), 259: (LONG, 1)})
    yield "places as 16 bits", tiff(RGB, 8, 3, more={273: (SHORT, [8])})
    yield "no byte counts", tiff(RGB, 8, 3, more={}).replace(struct.pack("<HH", 279, LONG), struct.pack("<HH", 280, LONG))
    for coder in (LZW, DEFLATE, PACKBITS):
        for rows in (100, 4):
            made = tiff(RGB, 8, 3, coder=coder, rows_per_strip=rows)
            yield f"no byte counts, {names[coder]}, strips of {rows}", made.replace(struct.pack("<HH", 279, LONG), struct.pack("<HH", 280, LONG))
    yield "too few strips", tiff(RGB, 8, 3, rows_per_strip=3, more={273: (LONG, [8]), 279: (LONG, [99])})
    yield "too few LZW strips", tiff(RGB, 8, 3, coder=LZW, rows_per_strip=3, more={273: (LONG, [8]), 279: (LONG, [99])})
    yield "a strip outside", tiff(RGB, 8, 3, more={273: (LONG, [90000])})
    yield "two strips over one another", tiff(GREY, 8, 1, more={273: (LONG, [8, 20]), 279: (LONG, [99, 99])})
    yield "no strips", assemble({256: 4, 257: 4, 258: 8, 262: 1, 277: 1}, [bytes(16)], offsets=None, counts=None)
    yield "compression 9", tiff(GREY, 8, 1, more={259: 9})
    yield "compression 77", tiff(GREY, 8, 1, more={259: 77})
    yield "tiles without a width", tiff(RGB, 8, 3, tile=(16, 16), drop=[322])
    yield "huge tiles", tiff(RGB, 8, 3, tile=(16, 16), coder=LZW, more={322: (LONG, 65536), 323: (LONG, 65536)})
