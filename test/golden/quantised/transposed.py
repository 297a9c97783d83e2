"""GPTQ and AWQ, which keep a weight [out, in] as [in, out]: (tensors by the end of their name, float32 values)."""

import numpy as np
import torch

from quantised.numbers import affine, packed, tensor

AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def gptq(weight, bits, group, symmetric, zero_offset, act_order=None, with_g_idx=True, dtype=torch.float16):
    """zero_offset: 1 where the file holds zero - 1 (format "gptq", the first version)."""
    width = weight.shape[1]
    group_of = act_order(width, group) if act_order else np.arange(width) // group
    q, stored, zeros, values = affine(weight, bits, group, symmetric, dtype, group_of)
    parts = {
        "qweight": packed(q.T, bits, 0),
        "qzeros": packed((zeros.T - zero_offset) % 2**bits, bits, -1),
        "scales": stored.T.contiguous(),
    }
    if with_g_idx:
        parts["g_idx"] = tensor(group_of.astype(np.int32))
    return parts, values


def awq(weight, group):
    q, stored, zeros, values = affine(weight, 4, group, False, torch.float16)
    ordered = lambda fields: fields.reshape(len(fields), -1, 8)[:, :, AWQ_ORDER].reshape(len(fields), -1)  # noqa: E731
    parts = {
        "qweight": packed(ordered(q.T), 4, -1),
        "qzeros": packed(ordered(zeros.T), 4, -1),
        "scales": stored.T.contiguous(),
    }
    return parts, values
