"""Golden JPEG files for test/media/jpeg.test.ts: every kind that Pillow reads, damaged ones, and what Pillow makes of them.

    pip install -r test/golden/requirements.txt && apt-get install libjpeg-turbo-progs   # cjpeg
    python test/golden/make_jpeg.py

Writes test/golden/data/jpeg.json: by name the file in base64 and the size and CRC-32 of Image.open(..).convert("RGB"),
or nothing more where Pillow refuses the file; "upright" is the same after ImageOps.exif_transpose, where it differs.
"""

import base64
import io
import json
import random
import struct
import subprocess
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
from jpeg_lossless import lossless_files
from PIL import Image, ImageOps

OUT = Path(__file__).parent / "data" / "jpeg.json"
JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"


def picture(width, height, channels=3):
    """Smooth colours, a hard-edged box and some noise."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 90 * np.sin(x / 7 + y / 11), y * 255 / max(1, height - 1), (x * 7 + y * 13) % 256, (x * 11 + y * 5) % 256]
    array = np.stack(planes[:channels], axis=-1)
    array[height // 4 : height // 2, width // 4 : width // 2] = [250, 20, 90, 30][:channels]
    array = array + np.random.default_rng(7).normal(0, 8, array.shape)
    return Image.fromarray(array.clip(0, 255).astype(np.uint8), "CMYK" if channels == 4 else "RGB")


def cjpeg(image, *options, scans=None):
    pnm = io.BytesIO()
    image.save(pnm, "ppm")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as script:
        if scans:
            script.write(scans)
            script.flush()
            options = (*options, "-scans", script.name)
        return subprocess.run(["cjpeg", *options], input=pnm.getvalue(), capture_output=True, check=True).stdout


def pillow(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", **options)
    return buffer.getvalue()


def segments(data):
    """(marker, bytes) of each segment behind SOI; that of a scan with its data."""
    found, at = [], 2
    while data[at + 1] != 0xD9:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xDA:
            while data[end] != 0xFF or data[end + 1] in (0, *range(0xD0, 0xD8)):
                end += 1
        found.append((data[at + 1], data[at:end]))
        at = end
    return found


def joined(parts):
    return b"\xff\xd8" + b"".join(part for _, part in parts) + b"\xff\xd9"


def with_adobe(data, transform):
    """Puts another transform into the Adobe segment, or (None) leaves it out."""
    parts = segments(data)
    if transform is None:
        return joined([part for part in parts if part[0] != 0xEE])
    return joined([(m, p[:15] + bytes([transform]) + p[16:]) if m == 0xEE else (m, p) for m, p in parts])


def samplings():
    image = picture(37, 29)
    for factors in (
        *("1x1", "2x1", "1x2", "2x2", "4x1", "1x4", "4x2", "2x4", "3x1", "1x3"),
        *("1x1,2x2,1x1", "1x1,1x2,1x2", "1x1,2x1,2x1", "2x2,2x1,1x2", "4x1,2x1,1x1", "1x4,1x2,1x2", "3x1,1x1,3x1", "2x1,2x1,2x1"),
    ):
        yield f"sampling {factors}", cjpeg(image, "-sample", factors)
    for size in ((1, 1), (2, 3), (3, 2), (5, 5), (16, 17)):
        for factors in ("2x1", "1x2", "2x2"):
            yield f"sampling {factors} of {size[0]} x {size[1]}", cjpeg(picture(*size), "-sample", factors)
    thirds = cjpeg(image, "-sample", "3x1")
    factor = thirds.find(b"\xff\xc0") + 14
    yield "sampling 3x1,2x1,1x1", thirds[:factor] + b"\x21" + thirds[factor + 1 :]
    grey = image.convert("L")
    for factors in ("1x1", "2x2", "3x1", "1x4"):
        yield f"grey, sampling {factors}", cjpeg(grey, "-sample", factors)
        yield f"grey, sampling {factors}, progressive", cjpeg(grey, "-sample", factors, "-progressive")


def codings():
    image = picture(37, 29)
    for name, options in {
        "sequential": (),
        "optimized": ("-optimize",),
        "progressive": ("-progressive",),
        "arithmetic": ("-arithmetic",),
        "arithmetic, progressive": ("-arithmetic", "-progressive"),
    }.items():
        for factors in ("1x1", "2x2", "1x2"):
            yield f"{name}, {factors}, restart rows", cjpeg(image, *options, "-sample", factors, "-restart", "1")
        yield f"{name}, restart blocks", cjpeg(image, *options, "-restart", "2B")
        yield f"{name}, quality 100", cjpeg(image, *options, "-quality", "100")
        yield f"{name}, quality 1", cjpeg(image, *options, "-quality", "1")
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (24, 24, 3)).astype(np.uint8) // 255 * 255)
    yield "noise, quality 100", cjpeg(noise, "-quality", "100", "-sample", "1x1")
    for name, scans in {
        "a scan each": "0;\n1;\n2;\n",
        "two scans": "0;\n1 2;\n",
        "many refinements": "0,1,2: 0-0, 0, 3;\n0,1,2: 0-0, 3, 2;\n0,1,2: 0-0, 2, 1;\n0,1,2: 0-0, 1, 0;\n"
        + "0: 1-63, 0, 3;\n0: 1-63, 3, 2;\n0: 1-63, 2, 1;\n0: 1-63, 1, 0;\n1: 1-5, 0, 0;\n1: 6-63, 0, 0;\n2: 1-63, 0, 1;\n2: 1-63, 1, 0;\n",
        "DC alone": "0,1,2: 0-0, 0, 0;\n",
        "rough DC alone": "0,1,2: 0-0, 0, 3;\n",
        "some bands": "0,1,2: 0-0, 0, 0;\n0: 1-9, 0, 2;\n1: 1-63, 0, 0;\n2: 1-5, 0, 1;\n",
        "AC of luma alone": "0: 0-0, 0, 0;\n1: 0-0, 0, 0;\n2: 0-0, 0, 0;\n0: 1-2, 0, 0;\n",
    }.items():
        for factors in ("1x1", "2x2"):
            yield f"{name}, {factors}", cjpeg(image, "-sample", factors, scans=scans)


def unfinished():
    """Progressive files that end early, which are smoothed; scans cut off inside; components without a scan."""
    for size, factors in (((60, 45), "2x2"), ((33, 40), "1x2"), ((16, 90), "1x1")):
        for options in (("-progressive",), ("-progressive", "-arithmetic")):
            parts = segments(cjpeg(picture(*size), "-sample", factors, "-quality", "50", *options))
            scans = [i for i, (marker, _) in enumerate(parts) if marker == 0xDA]
            name = f"{size[0]} x {size[1]}, {factors}, {' '.join(options)}"
            for kept in (1, 2, 4, 7):
                yield f"{name}, {kept} scans", joined([p for i, p in enumerate(parts) if p[0] != 0xDA or i in scans[:kept]])
            for scan in (scans[1], scans[4]):
                marker, bytes_ = parts[scan]
                cut = (marker, bytes_[: len(bytes_) // 2])
                yield f"{name}, cut at {scan}", joined([*parts[:scan], cut])
    parts = segments(cjpeg(picture(37, 29), scans="0;\n1;\n2;\n"))
    scans = [i for i, (marker, _) in enumerate(parts) if marker == 0xDA]
    for scan in scans:
        yield f"without the scan at {scan}", joined([part for i, part in enumerate(parts) if i != scan])
    yield "a scan twice", joined([*parts[: scans[0] + 1], *parts[scans[0] :]])


def colours():
    cmyk = picture(37, 29, 4)
    for subsampling in (0, 2):
        for progressive in (False, True):
            yield f"CMYK, subsampling {subsampling}, {progressive}", pillow(cmyk, subsampling=subsampling, progressive=progressive)
    for transform in (0, 1, 2, 3, None):
        yield f"four components, Adobe {transform}", with_adobe(pillow(cmyk, subsampling=0), transform)
    rgb = cjpeg(picture(37, 29), "-rgb")
    for transform in (0, 1, 2, None):
        yield f"RGB ids, Adobe {transform}", with_adobe(rgb, transform)
    yield "RGB ids, Adobe and JFIF", joined([(0xE0, JFIF), *segments(rgb)])
    plain = pillow(picture(37, 29))
    yield "no JFIF segment", joined([part for part in segments(plain) if part[0] != 0xE0])
    adobe = (0xEE, b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0")
    yield "ids 1 2 3, Adobe 0", joined([adobe, *[part for part in segments(plain) if part[0] != 0xE0]])


INSERTED = {
    "junk": b"\0\1junk",
    "escaped bytes": b"\xff\0\xff\0ab",
    "fill bytes": b"\xff\xff\xff",
    "a restart": b"\xff\xd3",
    "a second SOI": b"\xff\xd8",
    "TEM": b"\xff\1",
    "EOI": b"\xff\xd9",
    "DNL": b"\xff\xdc\0\4\0\5",
    "DHP": b"\xff\xde\0\x0b\x08\0\x10\0\x10\1\1\x11\0",
    "an extension": b"\xff\xf0\0\4ab",
    "an empty segment": b"\xff\xe5\0\0",
    "DAC": b"\xff\xcc\0\4\0\x10",
    "a broken DRI": b"\xff\xdd\0\5\0\0\0",
}


def segment_errors():
    plain = pillow(picture(21, 13))
    parts = segments(plain)
    for name, inserted in INSERTED.items():
        for place in (1, 3, len(parts) - 1, len(parts)):
            yield f"{name} at {place}", joined([*parts[:place], (0, inserted), *parts[place:]])
    yield "no Huffman codes", joined([part for part in parts if part[0] != 0xC4])
    yield "no quantization", joined([part for part in parts if part[0] != 0xDB])
    tables = [part for part in parts if part[0] in (0xC4, 0xDB)]
    yield "tables in a file before", joined(tables) + joined([part for part in parts if part not in tables])
    yield "two scans", joined([*parts, parts[-1]])
    yield "two frames", joined([*parts[:3], parts[3], *parts[3:]])
    yield "bytes behind the end", plain + b"behind" * 20
    yield "two files", plain + plain
    yield "no EOI, bytes behind", plain[:-2] + b"abcdefghijklmnop" * 3
    yield "no EOI, a file behind", plain[:-2] + plain
    yield "only SOI", plain[:2] + b"\xff"
    frame = plain.find(b"\xff\xc0")
    for name, place, value in (
        *(("height 0", 5, b"\0\0"), ("width 0", 7, b"\0\0"), ("width 65501", 7, b"\xff\xdd"), ("sampling 5", 11, b"\x51")),
        *(("12 bits", 4, b"\x0c"), ("16 bits", 4, b"\x10"), ("sampling 0", 11, b"\x02"), ("quantization 3", 12, b"\3")),
        *((f"SOF {kind:x}", 1, bytes([kind])) for kind in (0xC1, 0xC3, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCB, 0xCD, 0xCE, 0xCF)),
    ):
        yield name, plain[: frame + place] + value + plain[frame + place + len(value) :]
    two = b"\xff\xc0\0\x0e\x08\0\x0d\0\x15\2\1\x11\0\2\x11\0"
    yield "two components", plain[:frame] + two + plain[frame + 19 :]


def damaged():
    generator = random.Random(11)
    image = picture(48, 40)
    for name, options in {
        "sequential": ("-sample", "2x2"),
        "with restarts": ("-restart", "2B", "-sample", "2x1"),
        "progressive": ("-progressive", "-sample", "1x2"),
        "progressive with restarts": ("-progressive", "-restart", "3B"),
        "arithmetic": ("-arithmetic",),
        "arithmetic, progressive with restarts": ("-arithmetic", "-progressive", "-restart", "3B"),
    }.items():
        data = cjpeg(image, "-quality", "40", *options)
        start = data.find(b"\xff\xda") + 14
        for i in range(6):
            changed = bytearray(data)
            for _ in range(1 + i):
                changed[generator.randrange(start, len(data) - 2)] = generator.randrange(256)
            yield f"{name}, {1 + i} bytes changed", bytes(changed)
        for i in range(3):
            place = generator.randrange(start, len(data) - 2)
            yield f"{name}, cut off at {place}", data[:place]
            yield f"{name}, cut off at {place}, with EOI", data[:place] + b"\xff\xd9"
            yield f"{name}, bytes lost at {place}", data[:place] + data[place + 9 :]
        yield f"{name}, without EOI", data[:-2]
    data = cjpeg(image, "-quality", "40", "-restart", "2B", "-sample", "2x1")
    second = data.find(b"\xff\xd2")
    for number in (0, 1, 3, 4, 5, 6, 7):
        yield f"restart {number} for 2", data[:second] + bytes([0xFF, 0xD0 + number]) + data[second + 2 :]
    yield "restart 2 lost", data[:second] + data[second + 2 :]
    yield "restart 2 twice", data[:second] + data[second : second + 2] + data[second:]


def turned():
    plain = pillow(picture(21, 13))
    exif = b"MM\0*\0\0\0\x08\0\1\1\x12\0\4\0\0\0\1\0\0\0\x06\0\0\0\0"

    def segment(payload):
        return (0xE1, b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload)

    parts = segments(plain)
    yield "EXIF", joined([segment(b"Exif\0\0" + exif), *parts])
    yield "EXIF behind the tables", joined([*parts[:-2], segment(b"Exif\0\0" + exif), *parts[-2:]])
    yield "EXIF in two segments", joined([segment(b"Exif\0\0" + exif[:13]), segment(b"Exif\0\0" + exif[13:]), *parts])
    yield "EXIF twice", joined([segment(b"Exif\0\0" + exif), segment(b"Exif\0\0" + exif.replace(b"\x06", b"\x03")), *parts])
    packet = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation="8"/>'
    yield "XMP", joined([segment(packet), *parts])
    yield "EXIF and XMP", joined([segment(packet), segment(b"Exif\0\0" + exif), *parts])


GROUPS = (samplings, codings, unfinished, colours, segment_errors, damaged, turned, lossless_files)


def row_of(data):
    def rgb(image):
        image = image.convert("RGB")
        return {"width": image.width, "height": image.height, "rgb": zlib.crc32(image.tobytes())}

    row = {"file": base64.b64encode(data).decode()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            row |= rgb(Image.open(io.BytesIO(data)))
        except (OSError, SyntaxError):
            return row
        upright = rgb(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
        if upright != rgb(Image.open(io.BytesIO(data))):
            row["upright"] = upright
    return row


def main():
    rows = {f"{group.__name__}: {name}": row_of(data) for group in GROUPS for name, data in group()}
    OUT.write_text("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()) + "\n}\n")
    refused = sum("rgb" not in row for row in rows.values())
    print(f"{len(rows)} files, {refused} of them refused by Pillow, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
