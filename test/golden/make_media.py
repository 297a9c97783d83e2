"""Golden pictures for test/media: small files of every kind, and the RGB bytes Pillow decodes them to.

    pip install -r test/golden/requirements.txt && python test/golden/make_media.py

Writes test/golden/data/media: the files, and media.json with CRC-32 checksums of the RGB bytes in both modes:
"huggingface" is Image.convert("RGB"); "default" applies the EXIF orientation and pastes the picture on white first.
"""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps

OUT = Path(__file__).parent / "data" / "media"
WIDTH, HEIGHT = 37, 23


def picture(channels, bits=8):
    """Smooth colours with a hard-edged box; channel 3 is an alpha that takes many values."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [x * 255 // (WIDTH - 1), y * 255 // (HEIGHT - 1), (x * 7 + y * 13) % 256, (x * 11 + y * 5) % 256]
    array = np.stack(planes[:channels], axis=-1)
    array[5:12, 9:20, : min(channels, 3)] = [250, 20, 90][: min(channels, 3)]
    if bits == 16:
        return (array * 257 - (x * 3)[..., None] % 200).clip(0, 65535).astype(np.uint16)
    return array.astype(np.uint8)


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def raw_png(path, array, interlaced=False):
    """The PNG files that Pillow does not write: of 16 bits a sample, or interlaced."""
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[array.shape[2]]
    bits = array.itemsize * 8

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    passes = [array[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [array]
    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour_type, 0, 0, int(interlaced))
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def write_files():
    rgb, rgba = Image.fromarray(picture(3)), Image.fromarray(picture(4))
    grey, grey_alpha = rgb.convert("L"), Image.merge("LA", (rgb.convert("L"), rgba.getchannel("A")))
    palette = rgb.quantize(16)
    rgb.save(OUT / "rgb.png")
    rgba.save(OUT / "rgba.png")
    grey.save(OUT / "grey.png")
    grey_alpha.save(OUT / "grey-alpha.png")
    rgb.convert("1").save(OUT / "bilevel.png")
    palette.save(OUT / "palette.png", bits=4)
    palette.save(OUT / "palette-transparent.png", transparency=bytes([0, 128, 255] * 5))
    rgb.save(OUT / "colour-key.png", transparency=(250, 20, 90))
    rgb.save(OUT / "turned.png", exif=orientation(6))
    for channels, name in ((1, "grey16"), (3, "rgb16"), (4, "rgba16")):
        raw_png(OUT / f"{name}.png", picture(channels, bits=16))
    raw_png(OUT / "interlaced.png", picture(3), interlaced=True)
    rgb.save(OUT / "444.jpg", quality=92, subsampling=0)
    rgb.save(OUT / "420.jpg", quality=80, subsampling=2)
    rgb.save(OUT / "422.jpg", quality=60, subsampling=1)
    rgb.save(OUT / "progressive.jpg", quality=85, progressive=True)
    grey.save(OUT / "grey.jpg", quality=85)
    for value in range(2, 9):
        rgb.save(OUT / f"turned-{value}.jpg", quality=90, exif=orientation(value))
    rgb.save(OUT / "lossy.webp", quality=80)
    rgb.save(OUT / "lossless.webp", lossless=True)
    rgba.save(OUT / "alpha.webp", lossless=True, exact=True)
    rgba.save(OUT / "alpha-lossy.webp", quality=70)
    rgb.save(OUT / "turned.webp", quality=80, exif=orientation(8))


def decode(path, mode):
    image = Image.open(path)
    if mode == "default":
        image = ImageOps.exif_transpose(image)
    if image.mode == "I;16" and mode == "default":  # Pillow would clip; a viewer keeps the upper eight bits
        image = Image.fromarray((np.array(image) >> 8).astype(np.uint8))
    if mode == "huggingface" or not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=image.getchannel("A"))
    return page


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    write_files()
    rows = {}
    for path in sorted(OUT.iterdir()):
        rows[path.name] = {}
        for mode in ("huggingface", "default"):
            rgb = np.array(decode(path, mode))
            rows[path.name][mode] = {"width": rgb.shape[1], "height": rgb.shape[0], "rgb": zlib.crc32(rgb.tobytes())}
    made_by = f"test/golden/make_media.py, Pillow {PIL.__version__}"
    (OUT / "media.json").write_text(json.dumps({"madeBy": made_by, "files": rows}, indent=1) + "\n")


main()
