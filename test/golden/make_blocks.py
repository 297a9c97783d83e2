"""Writes data/blocks.json: rows of float32 values and what ggml's Q8_0 and Q4_0 make of them, bytes and values again, by
the gguf package of llama.cpp; and products with such rows in the float32 steps of
src/backends/reference/block-product.ts, by numpy. Run: python test/golden/make_blocks.py
"""

import base64
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize

OUT = Path(__file__).parent / "data" / "blocks.json"
FORMATS = {"q8": GGMLQuantizationType.Q8_0, "q4": GGMLQuantizationType.Q4_0}


def pack(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def inputs():
    """Rows of 64 columns: of every size, with ties in magnitude and in rounding, of zeros, near the ends of f16."""
    random = np.random.default_rng(10)
    rows = [random.normal(size=64) * 10.0**exponent for exponent in range(-9, 6) for _ in range(2)]
    rows += [random.uniform(-1, 1, size=64), random.integers(-3, 4, size=64), np.zeros(64)]
    halves = np.arange(64) - 31.5
    rows += [halves * 127 / 31.5, np.where(np.arange(64) % 32 == 0, 127, halves), np.where(np.arange(64) % 32 == 5, -8, halves / 16)]
    signs = np.where(random.random(64) < 0.5, -1, 1)
    rows += [signs, -signs, signs * 65504 * 8, np.where(np.arange(64) == 40, -0.75, 0)]
    # bf16 and f16 values, as checkpoints have.
    rows += [(random.normal(size=64) * 0.02).astype(np.float16)]
    narrow = (random.normal(size=64) * 0.02).astype(np.float32).view(np.uint32) & 0xFFFF0000
    rows += [narrow.view(np.float32)]
    return np.stack([np.asarray(row, dtype=np.float32) for row in rows])


def activations():
    """Rows of 64 columns, with ties in rounding, a block of zeros and one below 2^-100."""
    random = np.random.default_rng(11)
    x = random.normal(size=(5, 64)).astype(np.float32)
    x[1, :32] = np.arange(32) - 15.5
    x[1, 0] = 127
    x[2, 32:] = 0
    x[3, :32] *= np.float32(2.0**-103)
    return x


def product(x, stored, kind, bias):
    """y = bias; block after block y = y + float(isum) * (scale of w * scale of x), each step rounded to float32."""
    blocks = stored.reshape(len(stored), -1, 34 if kind == "q8" else 18)
    scales = np.ascontiguousarray(blocks[..., :2]).view(np.float16)[..., 0].astype(np.float32)
    if kind == "q8":
        quants = blocks[..., 2:].view(np.int8).astype(np.int64)
    else:
        pairs = blocks[..., 2:].astype(np.int64)
        quants = np.concatenate([pairs & 15, pairs >> 4], axis=-1) - 8
    xs = x.reshape(len(x), -1, 32)
    largest = np.abs(xs).max(axis=-1)
    small = largest < np.float32(2.0**-100)
    divisor = np.where(small, np.float32(1), largest)
    x_scales = np.where(small, np.float32(0), largest / np.float32(127)).astype(np.float32)
    inverse = (np.float32(127) / divisor).astype(np.float32)
    x_quants = np.where(small[..., None], 0, np.rint(xs * inverse[..., None])).astype(np.int64)
    y = np.tile(bias, (len(x), 1))
    for block in range(xs.shape[1]):
        sums = np.einsum("mi,ni->mn", x_quants[:, block], quants[:, block]).astype(np.float32)
        scale = x_scales[:, block, None] * scales[None, :, block]
        y = y + sums * scale
        assert y.dtype == np.float32
    return y


def main():
    values = inputs()
    record = {"madeBy": "test/golden/make_blocks.py", "versions": {"gguf": version("gguf")}}
    record |= {"shape": list(values.shape), "values": pack(values)}
    x, bias = activations(), np.random.default_rng(12).normal(size=len(values)).astype(np.float32)
    record |= {"x": {"shape": list(x.shape), "values": pack(x)}, "bias": pack(bias)}
    for name, kind in FORMATS.items():
        stored = quantize(values, kind)
        y = product(x, stored, name, bias)
        record[name] = {"bytes": pack(stored), "values": pack(dequantize(stored, kind).astype(np.float32)), "y": pack(y)}
    OUT.write_text(json.dumps(record, indent=1) + "\n")


main()
