"""MLX's affine mode: (tensors by the end of their name, float32 values) of a weight [out, in]."""

import numpy as np
import torch

from quantised.numbers import grouped, packed, rounded, spread


def affine(weight, bits, group, dtype):
    """The extreme of larger magnitude is hit by an end of the range, so that scales may be negative."""
    low, high = grouped(weight, group, np.min), grouped(weight, group, np.max)
    sign = np.where(np.abs(low) > np.abs(high), 1, -1)
    edge = np.where(sign > 0, low, high)
    stored_scales, scales = rounded(sign * np.maximum((high - low) / (2**bits - 1), 1e-7), dtype)
    stored_biases, biases = rounded(edge, dtype)
    cols = weight.shape[1]
    scale, bias = spread(scales, group, cols), spread(biases, group, cols)
    q = np.clip(np.round((weight - bias) / scale), 0, 2**bits - 1).astype(np.int64)
    parts = {"weight": packed(q, bits, -1).view(torch.uint32), "scales": stored_scales, "biases": stored_biases}
    return parts, q.astype(np.float32) * scale + bias
