"""bitsandbytes' 4-bit types: (tensors by the end of their name, float32 values) of a weight [out, in]."""

import json

import numpy as np
import torch

from quantised.numbers import nearest, rounded, tensor

NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip
FP4 = [0, 0.0052083333, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25]
TABLES = {"nf4": np.array(NF4, np.float32), "fp4": np.array(FP4 + [-value for value in FP4], np.float32)}
BLOCK, NESTED_BLOCK = 64, 256


def four_bits(weight, kind, nested):
    table = TABLES[kind]
    blocks = weight.reshape(-1, BLOCK)
    absmax = np.abs(blocks).max(1)
    state = {"quant_type": kind, "blocksize": BLOCK, "dtype": "bfloat16", "shape": list(weight.shape)}
    parts = {"weight.quant_map": tensor(table)}
    if nested:
        levels = np.linspace(-1, 1, 256, dtype=np.float32)
        offset = np.float32(absmax.mean())
        scales = np.array([np.abs(absmax[at : at + NESTED_BLOCK] - offset).max() for at in range(0, len(absmax), NESTED_BLOCK)])
        stored, scales = rounded(scales, torch.float32)
        full = np.repeat(scales, NESTED_BLOCK)[: len(absmax)]
        codes = nearest((absmax - offset) / full, levels)
        absmax = levels[codes] * full + offset
        parts |= {"weight.absmax": tensor(codes), "weight.nested_absmax": stored, "weight.nested_quant_map": tensor(levels)}
        state |= {"nested_blocksize": NESTED_BLOCK, "nested_dtype": "float32", "nested_offset": float(offset)}
    else:
        parts["weight.absmax"] = tensor(absmax)
    codes = nearest(blocks / absmax[:, None], table)
    flat = codes.reshape(-1)
    parts["weight"] = tensor((flat[::2] << 4) | flat[1::2]).reshape(-1, 1)
    parts[f"weight.quant_state.bitsandbytes__{kind}"] = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
    return parts, (table[codes] * absmax[:, None]).reshape(weight.shape)
