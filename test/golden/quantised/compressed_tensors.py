"""compressed-tensors: (tensors by the end of their name, float32 values) of a weight [out, in]."""

import numpy as np
import torch

from quantised.numbers import FP4, affine, e4m3, grouped, nearest, packed, rounded, spread, tensor


def fp8(weight, rows, cols, dtype, scale_shape=None, name="weight_scale", extra=None):
    """A scale for each rectangle of rows x cols."""
    out, width = weight.shape
    rows, cols = rows or out, cols or width
    largest = np.stack([np.abs(weight[at : at + rows]).max(0) for at in range(0, out, rows)])
    largest = grouped(largest, cols, np.max)
    stored, scales = rounded(largest / 448, dtype)
    full = spread(np.repeat(scales, rows, axis=0)[:out], cols, width)
    elements, values = e4m3(weight / full)
    stored = stored if scale_shape is None else stored.reshape(scale_shape)
    return {"weight": elements, name: stored, **(extra or {})}, values * full


def int8(weight, dtype, symmetric=True):
    q, stored, zeros, values = affine(weight, 8, weight.shape[1], symmetric, dtype)
    parts = {"weight": tensor((q - 128).astype(np.int8)), "weight_scale": stored}
    if not symmetric:
        parts["weight_zero_point"] = tensor((zeros - 128).astype(np.int8))
    return parts, values


def pack_quantized(weight, bits, group, symmetric, dtype, actorder=None):
    out, width = weight.shape
    group_of = None if actorder is None else actorder(width, group)
    q, stored, zeros, values = affine(weight, bits, group or width, symmetric, dtype, group_of)
    parts = {
        "weight_packed": packed(q, bits, -1),
        "weight_scale": stored,
        "weight_shape": torch.tensor([out, width]),
    }
    if not symmetric:
        parts["weight_zero_point"] = packed(zeros, bits, 0)
    if group_of is not None:
        parts["weight_g_idx"] = tensor(group_of.astype(np.int32))
    return parts, values


def fp4_bytes(codes):
    return tensor(codes[:, ::2] | (codes[:, 1::2] << 4))


def nvfp4(weight):
    total = np.float32(448 * 6 / np.abs(weight).max())
    stored, scales = e4m3(grouped(np.abs(weight), 16, np.max) / 6 * total)
    full = spread(scales / total, 16, weight.shape[1])
    codes = nearest(weight / full, FP4)
    parts = {
        "weight_packed": fp4_bytes(codes),
        "weight_scale": stored,
        "weight_global_scale": torch.tensor([total]),
        "input_global_scale": torch.tensor([300.0]),
    }
    return parts, FP4[codes] * full


def mxfp4(weight):
    exponents = np.floor(np.log2(grouped(np.abs(weight), 32, np.max))) - 2
    full = spread(np.exp2(exponents).astype(np.float32), 32, weight.shape[1])
    codes = nearest(weight / full, FP4)
    return {"weight_packed": fp4_bytes(codes), "weight_scale": tensor((exponents + 127).astype(np.uint8))}, FP4[codes] * full
