"""A small encoder of lossless JPEG (Huffman codes, 8 bits), which Pillow reads and nothing at hand writes."""

import random
import struct

import numpy as np


class Bits:
    def __init__(self):
        self.bits = []

    def put(self, value, count):
        self.bits += [(value >> i) & 1 for i in reversed(range(count))]

    def difference(self, value):
        """Sizes are codes of five bits; a size of 16 has no bits of its own."""
        value = ((value + 32768) & 0xFFFF) - 32768
        if value == -32768:
            self.put(16, 5)
            return
        size = abs(value).bit_length()
        self.put(size, 5)
        self.put(value if value > 0 else value + (1 << size) - 1, size)

    def flush(self):
        self.bits += [1] * (-len(self.bits) % 8)
        data = bytes(int("".join(map(str, self.bits[i : i + 8])), 2) for i in range(0, len(self.bits), 8))
        self.bits = []
        return data.replace(b"\xff", b"\xff\0")


def predict(kind, left, above, corner):
    return (
        *(left, above, corner, left + above - corner),
        *(left + ((above - corner) >> 1), above + ((left - corner) >> 1), (left + above) >> 1),
    )[kind - 1]


def row_differences(row, above, width, kind, shift, padded):
    """Differences of a row; `above` is None for the first of a segment."""
    found = []
    for x in range(padded):
        if x >= width:
            found.append(0)
        elif x == 0:
            found.append(row[0] - ((1 << (7 - shift)) if above is None else above[0]))
        elif above is None:
            found.append(row[x] - row[x - 1])
        else:
            found.append(row[x] - predict(kind, row[x - 1], above[x], above[x - 1]))
    return found


def lossless(planes, factors, width, height, kind, shift=0, restart_rows=0, interleaved=True, head=b""):
    """planes: i32 arrays at their components' resolution, padded to whole MCUs."""
    across, down = max(a for a, _ in factors), max(d for _, d in factors)
    count = len(planes)
    out = b"\xff\xd8" + head + b"\xff\xc3" + struct.pack(">HBHHB", 8 + 3 * count, 8, height, width, count)
    out += b"".join(bytes([i + 1, a * 16 + d, 0]) for i, (a, d) in enumerate(factors))
    out += b"\xff\xc4" + struct.pack(">H", 36) + bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    for scan in [list(range(count))] if interleaved else [[i] for i in range(count)]:
        units = {i: (1, 1) if len(scan) == 1 else factors[i] for i in scan}
        widths = {i: -(-width * factors[i][0] // across) for i in scan}
        only = scan[0]
        columns = widths[only] if len(scan) == 1 else -(-width // across)
        rows = -(-height * factors[only][1] // down) if len(scan) == 1 else -(-height // down)
        if restart_rows:
            out += b"\xff\xdd\0\4" + struct.pack(">H", columns * restart_rows)
        out += b"\xff\xda" + struct.pack(">HB", 6 + 2 * len(scan), len(scan))
        out += b"".join(bytes([i + 1, 0]) for i in scan) + bytes([kind, 0, shift])
        bits = Bits()
        for row in range(rows):
            starts = restart_rows > 0 and row % restart_rows == 0
            if starts and row > 0:
                out += bits.flush() + bytes([0xFF, 0xD0 + (row // restart_rows - 1) % 8])
            differences = {}
            for i in scan:
                unit = units[i]
                for y in range(row * unit[1], (row + 1) * unit[1]):
                    is_first = y == row * unit[1] and (row == 0 or starts)
                    above = None if is_first else planes[i][y - 1] >> shift
                    padded = columns * unit[0]
                    differences[i, y] = row_differences(planes[i][y] >> shift, above, widths[i], kind, shift, padded)
            for column in range(columns):
                for i in scan:
                    unit = units[i]
                    for y in range(row * unit[1], (row + 1) * unit[1]):
                        for x in range(column * unit[0], (column + 1) * unit[0]):
                            bits.difference(int(differences[i, y][x]))
        out += bits.flush()
    return out + b"\xff\xd9"


def lossless_files():
    width, height = 13, 9

    def planes(factors):
        generator = np.random.default_rng(5)
        y, x = np.mgrid[0 : height + 8, 0 : width + 8]
        return [(x * 9 + y * 5 + 60 * i + generator.integers(0, 30, x.shape)) & 255 for i in range(len(factors))]

    def file(factors, kind, **options):
        return lossless(planes(factors), factors, width, height, kind, **options)

    rgb = [(1, 1)] * 3
    for kind in range(1, 8):
        yield f"predictor {kind}", file(rgb, kind)
    for kind in (0, 8):
        yield f"predictor {kind}", file(rgb, 1).replace(b"\3\0\1\0\0", bytes([3, 0, kind, 0, 0]))
    yield "shifted", file(rgb, 4, shift=3)
    yield "with restarts", file(rgb, 6, restart_rows=2)
    yield "a scan each", file(rgb, 7, interleaved=False)
    yield "a scan each with restarts", file([(2, 1), (1, 1), (1, 1)], 5, interleaved=False, restart_rows=2)
    for factors in ([(1, 1)], [(2, 2)], [(2, 1), (1, 1), (1, 1)], [(2, 2), (1, 1), (1, 1)], [(1, 2), (1, 1), (1, 2)], [(1, 1)] * 4):
        yield f"sampling {factors}", file(factors, 4)
    yield "with a JFIF segment", file(rgb, 1, head=b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0")
    yield "Adobe 0", file(rgb, 1, head=b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0")
    tall = [(2, 2), (1, 1), (1, 1)]
    yield "a scan each with a restart a row", file(tall, 5, interleaved=False, restart_rows=1)
    scans = file(tall, 2, interleaved=False)
    yield "without the last scan", scans[: scans.rfind(b"\xff\xda")] + b"\xff\xd9"
    generator = random.Random(4)
    for name, data in (("in turn", file(tall, 7)), ("a scan each", scans), ("with restarts", file(rgb, 6, restart_rows=2))):
        for i in range(4):
            changed = bytearray(data)
            for _ in range(1 + i):
                changed[generator.randrange(data.find(b"\xff\xda") + 14, len(data) - 2)] = generator.randrange(256)
            yield f"{name}, {1 + i} bytes changed", bytes(changed)
    yield "cut short", file(rgb, 1)[:-40] + b"\xff\xd9"
    yield "truncated", file(rgb, 1)[:-40]
