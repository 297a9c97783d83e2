"""Small numbers in wide words: rounding to them, and packing of their fields."""

import numpy as np
import torch

FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32)


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array))


def rounded(scales, dtype):
    """(the scales as stored, their float32 values)."""
    stored = torch.from_numpy(np.ascontiguousarray(scales, dtype=np.float32)).to(dtype)
    return stored, stored.float().numpy()


def e4m3(values):
    """(as stored, float32 values), the largest being 448."""
    return rounded(np.clip(values, -448, 448), torch.float8_e4m3fn)


def nearest(values, table):
    """Indices of the nearest entries."""
    return np.abs(values[..., None].astype(np.float64) - table.astype(np.float64)).argmin(-1).astype(np.uint8)


def packed(fields, bits, axis):
    """Unsigned fields one after another in int32 words along `axis`, lowest bits first, across borders of words; the last
    word is filled up with zeros."""
    fields = np.moveaxis(fields, axis, -1).astype(np.uint32)
    stream = (fields[..., None] >> np.arange(bits, dtype=np.uint32)) & 1
    stream = stream.reshape(*fields.shape[:-1], -1)
    missing = -stream.shape[-1] % 32
    stream = np.pad(stream, [(0, 0)] * (stream.ndim - 1) + [(0, missing)]).reshape(*fields.shape[:-1], -1, 32)
    words = (stream << np.arange(32, dtype=np.uint32)).sum(-1, dtype=np.uint32).astype(np.uint32)
    return tensor(np.ascontiguousarray(np.moveaxis(words, -1, axis)).view(np.int32))


def spread(scales, group, cols):
    """[rows, groups] -> [rows, cols]; the last group may be cut."""
    return np.repeat(scales, group, axis=1)[:, :cols]


def grouped(weight, group, reduce):
    """`reduce` of every group of columns of each row: [rows, groups]."""
    cols = weight.shape[1]
    return np.stack([reduce(weight[:, at : at + group], axis=1) for at in range(0, cols, group)], axis=1)


def affine(weight, bits, group, symmetric, dtype, group_of=None):
    """Unsigned integers, scales as stored, their values and zeros, of groups of columns: w = (q - zero) * scale. `group_of`
    says to which group a column belongs, by default one after another."""
    rows, cols = weight.shape
    group_of = np.arange(cols) // group if group_of is None else group_of
    low = np.stack([np.minimum(weight[:, group_of == g].min(1), 0) for g in range(group_of.max() + 1)], 1)
    high = np.stack([np.maximum(weight[:, group_of == g].max(1), 0) for g in range(group_of.max() + 1)], 1)
    if symmetric:
        scales = np.maximum(-low, high) / (2 ** (bits - 1) - 0.5)
        zeros = np.full(low.shape, 2 ** (bits - 1))
    else:
        scales = (high - low) / (2**bits - 1)
        zeros = np.clip(np.round(-low / scales), 0, 2**bits - 1)
    stored, scales = rounded(scales, dtype)
    zeros = zeros.astype(np.int64)
    q = np.clip(np.round(weight / scales[:, group_of]) + zeros[:, group_of], 0, 2**bits - 1).astype(np.int64)
    values = (q - zeros[:, group_of]).astype(np.float32) * scales[:, group_of]
    return q, stored, zeros, values
