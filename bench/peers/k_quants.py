"""Q4_K and Q6_K blocks by plain rounding, for files of the sizes and types that llama.cpp's mixture Q4_K_M has: the package
gguf reads these types and does not make them. llama.cpp searches for better scales, so quality must not be judged by these.
"""

import numpy as np

SUPER = 256


def halves(values):
    return values.astype(np.float16).view(np.uint8).reshape(len(values), -1)


def q4_k(values):
    """[..., n] float32 as bytes: 8 groups of 32 with 6-bit scales and minima in units of two f16 numbers."""
    groups = values.reshape(-1, 8, 32)
    least = np.minimum(groups.min(axis=-1), 0)
    step = (groups.max(axis=-1) - least) / 15
    d, dmin = step.max(axis=-1, keepdims=True) / 63, (-least).max(axis=-1, keepdims=True) / 63
    scale, minimum = six_bits(step, d), six_bits(-least, dmin)
    d, dmin = d.astype(np.float16).astype(np.float32), dmin.astype(np.float16).astype(np.float32)
    width = d * scale
    q = np.divide(groups + (dmin * minimum)[..., None], width[..., None], out=np.zeros_like(groups), where=width[..., None] > 0)
    q = np.clip(np.rint(q), 0, 15).astype(np.uint8).reshape(-1, 4, 2, 32)
    low = scale[:, :4] | (scale[:, 4:] >> 4) << 6
    middle = minimum[:, :4] | (minimum[:, 4:] >> 4) << 6
    high = (scale[:, 4:] & 15) | (minimum[:, 4:] & 15) << 4
    quants = (q[:, :, 0] | q[:, :, 1] << 4).reshape(-1, 128)
    blocks = np.concatenate([halves(d), halves(dmin), low, middle, high, quants], axis=-1)
    return blocks.reshape(*values.shape[:-1], -1)


def q6_k(values):
    """[..., n] float32 as bytes: 16 groups of 16 with 8-bit scales in units of one f16 number."""
    groups = values.reshape(-1, 16, 16)
    step = np.abs(groups).max(axis=-1) / 31
    d = (step.max(axis=-1, keepdims=True) / 127).astype(np.float16).astype(np.float32)
    scale = np.rint(np.divide(step, d, out=np.zeros_like(step), where=d > 0))
    width = (d * scale)[..., None]
    q = np.divide(groups, width, out=np.zeros_like(groups), where=width > 0)
    # Four quarters of each 128: q = low 4 bits, and 2 bits of a byte that the quarters share.
    q = (np.clip(np.rint(q), -32, 31) + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low = np.concatenate([q[:, :, 0] & 15 | (q[:, :, 2] & 15) << 4, q[:, :, 1] & 15 | (q[:, :, 3] & 15) << 4], axis=-1)
    high = q[:, :, 0] >> 4 | q[:, :, 1] >> 4 << 2 | q[:, :, 2] >> 4 << 4 | q[:, :, 3] >> 4 << 6
    parts = [low.reshape(-1, 128), high.reshape(-1, 64), scale.astype(np.int8).view(np.uint8), halves(d)]
    return np.concatenate(parts, axis=-1).reshape(*values.shape[:-1], -1)


def six_bits(values, unit):
    return np.rint(np.divide(values, unit, out=np.zeros_like(values), where=unit > 0)).astype(np.uint8)
