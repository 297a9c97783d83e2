"""Writes data/blocks.json: rows of float32 values and what ggml's Q8_0 and Q4_0 make of them, bytes and values again, by
the gguf package of llama.cpp. Run: python test/golden/make_blocks.py
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


def main():
    values = inputs()
    record = {"madeBy": "test/golden/make_blocks.py", "versions": {"gguf": version("gguf")}}
    record |= {"shape": list(values.shape), "values": pack(values)}
    for name, kind in FORMATS.items():
        stored = quantize(values, kind)
        record[name] = {"bytes": pack(stored), "values": pack(dequantize(stored, kind).astype(np.float32))}
    OUT.write_text(json.dumps(record, indent=1) + "\n")


main()
