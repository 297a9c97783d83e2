"""Golden orientations for test/media/orientation.test.ts: EXIF and XMP blocks, and how Pillow turns a picture by them.

    pip install -r test/golden/requirements.txt && python test/golden/make_orientation.py

Writes test/golden/data/orientation.json: the blocks (hexadecimal TIFF structures, XMP as text) and the orientation that
ImageOps.exif_transpose applies; 1 is none.
"""

import io
import json
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

OUT = Path(__file__).parent / "data" / "orientation.json"
TAG = 0x0112
TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
FORMATS = {3: "H", 4: "L", 5: "LL", 6: "b", 8: "h", 9: "l", 10: "ll", 11: "f", 12: "d", 13: "L", 16: "Q"}


def tiff(entries, order="<", signature=None, directory=8, next_directory=0, count=None):
    """A TIFF structure of one directory: entries are (tag, type, count, bytes of the value)."""
    head = signature or ((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", directory))
    body = struct.pack(order + "H", len(entries) if count is None else count)
    extra = b""
    data_at = directory + 2 + 12 * len(entries) + 4
    for tag, kind, number, value in entries:
        if len(value) > 4:
            field = struct.pack(order + "L", data_at + len(extra))
            extra += value
        else:
            field = value.ljust(4, b"\0")
        body += struct.pack(order + "HHL", tag, kind, number) + field
    return head + b"\0" * (directory - 8) + body + struct.pack(order + "L", next_directory) + extra


def number(kind, *values, order="<"):
    return struct.pack(order + FORMATS[kind] * (len(values) // len(FORMATS[kind])), *values)


def packet(text):
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {text}</x:xmpmeta>'


def cases():
    for order, name in (("<", "little"), (">", "big")):
        for kind in FORMATS:
            values = (6, 1) if len(FORMATS[kind]) == 2 else (6,)
            yield f"type {kind} {name}-endian", tiff([(TAG, kind, 1, number(kind, *values, order=order))], order), None
    for kind in (1, 2, 7):
        yield f"type {kind}", tiff([(TAG, kind, 1, b"\6" if kind != 2 else b"6")]), None
    yield "text of two letters", tiff([(TAG, 2, 2, b"6\0")]), None
    yield "unknown type", tiff([(TAG, 99, 1, b"\6")]), None
    yield "unknown type, XMP", tiff([(TAG, 99, 1, b"\6")]), packet('tiff:Orientation="3"/>')
    for kind in (3, 4, 9):
        yield f"type {kind}, two values", tiff([(TAG, kind, 2, number(kind, 8, 3))]), None
        yield f"type {kind}, five values", tiff([(TAG, kind, 5, number(kind, 7, 3, 1, 1, 1))]), None
        yield f"type {kind}, no value", tiff([(TAG, kind, 0, number(kind, 6))]), None
    yield "a fraction of 12 / 2", tiff([(TAG, 5, 1, number(5, 12, 2))]), None
    yield "a fraction of 13 / 2", tiff([(TAG, 5, 1, number(5, 13, 2))]), None
    yield "a fraction of 6 / 0", tiff([(TAG, 5, 1, number(5, 6, 0))]), None
    yield "a float between", tiff([(TAG, 11, 1, number(11, 5.5))]), None
    for value in (0, 1, 2, 3, 4, 5, 7, 8, 9, 600, 65535):
        yield f"value {value}", tiff([(TAG, 3, 1, number(3, value))]), None
    yield "negative", tiff([(TAG, 9, 1, number(9, -6))]), None
    other, six = (0x0110, 2, 4, b"abc\0"), (TAG, 3, 1, number(3, 6))
    yield "after another entry", tiff([other, six]), None
    yield "before another entry", tiff([six, (0x0131, 2, 4, b"abc\0")]), None
    yield "twice", tiff([six, (TAG, 3, 1, number(3, 3))]), None
    yield "first as bytes, then as a number", tiff([(TAG, 7, 1, b"\3"), six]), None
    yield "first as a number, then as bytes", tiff([six, (TAG, 7, 1, b"\3")]), None
    yield "behind a gap", tiff([six], directory=30), None
    yield "an odd signature, little", tiff([six], signature=b"II\0*" + struct.pack("<L", 8)), None
    yield "an odd signature, big", tiff([(TAG, 3, 1, b"\0\6")], ">", b"MM*\0" + struct.pack(">L", 8)), None
    yield "BigTIFF", tiff([six], signature=b"II+\0" + struct.pack("<L", 8)), None
    yield "no TIFF", b"JJ" + tiff([six])[2:], None
    yield "directory outside", tiff([six], signature=b"II*\0" + struct.pack("<L", 5000)), None
    yield "directory cut off", tiff([six])[:14], None
    yield "cut off behind the entry", tiff([six])[:22], None
    yield "more entries claimed than there are", tiff([six], count=9), None
    outside = (0x0131, 2, 400, struct.pack("<L", 20))
    yield "a later value outside", tiff([six, outside]), None
    yield "an earlier value outside", tiff([outside, six]), None
    yield "letters before it", b"Exif\0\0" + tiff([six]), None
    yield "letters twice before it", b"Exif\0\0Exif\0\0" + tiff([six]), None
    first = tiff([other], next_directory=26)
    yield "only in the second directory", first + tiff([six])[8:], None
    yield "six in the first directory, three in the second", tiff([six], next_directory=26) + tiff([(TAG, 3, 1, b"\3")])[8:], None
    yield "a few bytes", b"II*\0", None
    yield "no EXIF, XMP attribute", None, packet('tiff:Orientation="6"/>')
    yield "no EXIF, XMP element", None, packet("><tiff:Orientation>8</tiff:Orientation>")
    yield "no EXIF, XMP with single quotes", None, packet("tiff:Orientation='6'/>")
    yield "no EXIF, XMP of two digits", None, packet('tiff:Orientation="36"/>')
    yield "no EXIF, XMP twice", None, packet('tiff:Orientation="x" tiff:Orientation="5" tiff:Orientation="6"/>')
    yield "no EXIF, XMP of 9", None, packet('tiff:Orientation="9"/>')
    yield "no EXIF, XMP without", None, packet('tiff:Make="6"/>')
    yield "EXIF without orientation, XMP", tiff([other]), packet('tiff:Orientation="4"/>')
    yield "EXIF of 1, XMP", tiff([(TAG, 3, 1, number(3, 1))]), packet('tiff:Orientation="4"/>')
    yield "EXIF of bytes, XMP", tiff([(TAG, 7, 1, b"\6")]), packet('tiff:Orientation="4"/>')
    yield "empty EXIF, XMP", b"", packet('tiff:Orientation="4"/>')
    yield "directory outside, XMP", tiff([six], signature=b"II*\0" + struct.pack("<L", 5000)), packet('tiff:Orientation="4"/>')


def jpeg(exif, xmp):
    """A small lossless-enough JPEG with the blocks in segments, without a JFIF segment."""
    y, x = np.mgrid[0:16, 0:24]
    buffer = io.BytesIO()
    Image.fromarray((x * 9 + y * 3).astype(np.uint8)).save(buffer, "jpeg", quality=95)
    data = buffer.getvalue()
    data = data[2 + 2 + int.from_bytes(data[4:6], "big") :]
    segments = b""
    for payload in (
        None if exif is None else b"Exif\0\0" + exif,
        None if xmp is None else b"http://ns.adobe.com/xap/1.0/\0" + xmp.encode(),
    ):
        if payload is not None:
            segments += b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload
    return b"\xff\xd8" + segments + data


def turn_of(exif, xmp):
    data = jpeg(exif, xmp)
    stored = Image.open(io.BytesIO(data))
    stored.load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    for value, method in TURNS.items():
        turned = stored if method is None else stored.transpose(method)
        if turned.size == upright.size and turned.tobytes() == upright.tobytes():
            return value
    raise ValueError("no such turn")


def main():
    rows = []
    for name, exif, xmp in cases():
        row = {"name": name, "orientation": turn_of(exif, xmp)}
        if exif is not None:
            row["exif"] = exif.hex()
        if xmp is not None:
            row["xmp"] = xmp
        rows.append(row)
    OUT.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    print(f"{len(rows)} blocks, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
