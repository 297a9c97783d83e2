"""WebP files, honest and odd: name, bytes."""

import io
import struct

import numpy as np
from PIL import Image


def picture(channels, width=21, height=15):
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * 12) % 256, (y * 17) % 256, (x * 7 + y * 9) % 256, (x * 11 + y * 5 + 90) % 256]
    return Image.fromarray(np.stack(planes[:channels], axis=-1).astype(np.uint8))


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, "WEBP", **options)
    return out.getvalue()


def chunks(data):
    at, found = 12, []
    while at + 8 <= len(data):
        size = struct.unpack_from("<I", data, at + 4)[0]
        found.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def chunk(kind, body):
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def riff(*parts, size=None):
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def extended(flags, width=21, height=15):
    return chunk(b"VP8X", bytes([flags, 0, 0, 0]) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3])


def orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


ALPHA, ANIMATION, EXIF, XMP, PROFILE = 0x10, 0x02, 0x08, 0x04, 0x20


def files():
    rgb, rgba = picture(3), picture(4)
    lossy, lossless = saved(rgb, quality=80), saved(rgb, lossless=True)
    clear, soft = saved(rgba, lossless=True, exact=True), saved(rgba, quality=80)
    for name, data in (("lossy", lossy), ("lossless", lossless), ("lossless with alpha", clear), ("lossy with alpha", soft)):
        yield name, data
        yield f"{name}, trailing bytes", data + b"more" * 20
        yield f"{name}, one byte short", data[:-1]
        yield f"{name}, half", data[: len(data) // 2]
        yield f"{name}, size of 4 more", data[:4] + struct.pack("<I", len(data) - 4) + data[8:]
        yield f"{name}, size of 2 less", data[:4] + struct.pack("<I", len(data) - 10) + data[8:]
        yield f"{name}, size of 0", data[:4] + bytes(4) + data[8:]
        yield f"{name}, an odd size", data[:4] + struct.pack("<I", len(data) - 7) + data[8:] + b"\0\0\0"
    for size in ((1, 1), (1, 9), (16, 16), (17, 33), (300, 2)):
        yield f"lossy, {size}", saved(picture(3, *size), quality=70)
        yield f"lossless, {size}", saved(picture(4, *size), lossless=True)
    image = dict(chunks(lossy))[b"VP8 "]
    bare = dict(chunks(lossless))[b"VP8L"]
    alpha, inner = dict(chunks(soft))[b"ALPH"], dict(chunks(soft))[b"VP8 "]
    still = chunk(b"VP8 ", image)
    yield "extended", riff(extended(0), still)
    yield "extended, lossless", riff(extended(0), chunk(b"VP8L", bare))
    yield "extended, of another size", riff(extended(0, 22, 15), still)
    yield "extended, larger", riff(extended(0, 40, 40), still)
    yield "extended, huge", riff(extended(0, 1 << 24, 1 << 24), still)
    yield "two pictures", riff(extended(0), still, still)
    yield "two pictures, plain", riff(still, still)
    yield "no picture", riff(extended(0))
    yield "alpha without the flag", riff(extended(0), chunk(b"ALPH", alpha), chunk(b"VP8 ", inner))
    yield "the flag without alpha", riff(extended(ALPHA), still)
    yield "alpha in a plain file", riff(chunk(b"ALPH", alpha), chunk(b"VP8 ", inner))
    yield "alpha behind", riff(extended(ALPHA), chunk(b"VP8 ", inner), chunk(b"ALPH", alpha))
    yield "broken alpha", riff(extended(ALPHA), chunk(b"ALPH", alpha[:1] + b"\xff" * 9), chunk(b"VP8 ", inner))
    yield "unknown chunks", riff(extended(0), chunk(b"abcd", b"xyz"), still, chunk(b"efgh", b"x"))
    yield "an unknown chunk first", riff(chunk(b"abcd", b"xyz!"), still)
    yield "an unknown chunk behind", riff(still, chunk(b"abcd", b"xyz!"))
    yield "a profile", saved(rgb, quality=80, icc_profile=b"no profile at all")
    yield "a flag of a profile that is missing", riff(extended(PROFILE), still)
    for value in (1, 3, 6, 8, 9):
        yield f"orientation {value}", saved(rgb, quality=80, exif=orientation(value))
    block = orientation(6).tobytes()
    yield "exif behind the picture, no flag", riff(extended(0), still, chunk(b"EXIF", block))
    yield "exif before the picture", riff(extended(EXIF), chunk(b"EXIF", block), still)
    yield "bare exif", riff(extended(EXIF), still, chunk(b"EXIF", block[6:]))
    yield "two exif", riff(extended(EXIF), still, chunk(b"EXIF", block), chunk(b"EXIF", orientation(3).tobytes()))
    yield "exif of a plain file", riff(still, chunk(b"EXIF", block))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    yield "xmp orientation", riff(extended(XMP), still, chunk(b"XMP ", xmp))
    yield "xmp and exif", riff(extended(XMP | EXIF), still, chunk(b"EXIF", orientation(3).tobytes()), chunk(b"XMP ", xmp))

    frames = [picture(3), picture(3).transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    moving = saved(frames[0], save_all=True, append_images=frames[1:], duration=90, lossless=True)
    yield "animation", moving
    yield "animation, cut", moving[:-30]
    yield "animation, trailing bytes", moving + b"more" * 9
    control = chunk(b"ANIM", bytes(4) + b"\0\0")

    def frame(x, y, data, width=21, height=15, flags=0):
        numbers = b"".join(struct.pack("<I", value)[:3] for value in (x // 2, y // 2, width - 1, height - 1, 90))
        return chunk(b"ANMF", numbers + bytes([flags]) + data)

    yield "one frame", riff(extended(ANIMATION), control, frame(0, 0, still))
    yield "a frame on a larger canvas", riff(extended(ANIMATION, 40, 30), control, frame(4, 6, still))
    yield "a soft frame on a larger canvas", riff(extended(ANIMATION | ALPHA, 40, 30), control, frame(4, 6, chunk(b"ALPH", alpha) + chunk(b"VP8 ", inner)))
    yield "a frame that replaces", riff(extended(ANIMATION | ALPHA, 40, 30), control, frame(4, 6, chunk(b"VP8L", dict(chunks(clear))[b"VP8L"]), flags=2))
    yield "a frame outside", riff(extended(ANIMATION, 40, 30), control, frame(30, 6, still))
    yield "a frame of another size", riff(extended(ANIMATION, 40, 30), control, frame(4, 6, still, width=20))
    yield "no frames", riff(extended(ANIMATION), control)
    yield "no control", riff(extended(ANIMATION), frame(0, 0, still))
    yield "frames without the flag", riff(extended(0), control, frame(0, 0, still))
    yield "the flag, but a still", riff(extended(ANIMATION), still)
    yield "a frame without a picture", riff(extended(ANIMATION), control, frame(0, 0, b""))
    yield "a second frame without a picture", riff(extended(ANIMATION), control, frame(0, 0, still), frame(0, 0, chunk(b"abcd", b"")))
    yield "a plain file and a chunk that is cut", riff(still, b"abcd" + struct.pack("<I", 50) + b"xyz!")
    yield "a soft frame without the flag", riff(extended(ANIMATION, 40, 30), control, frame(4, 6, chunk(b"ALPH", alpha) + chunk(b"VP8 ", inner)))
    yield "a still before the frames", riff(extended(ANIMATION), control, still, frame(0, 0, still))
    yield "header only", lossy[:12]
    yield "chunk header only", lossy[:20]
    yield "another key frame code", lossy[:23] + b"\0\0\0" + lossy[26:]
    yield "a size of 0 in the picture", lossy[:26] + b"\0\0" + lossy[28:]
