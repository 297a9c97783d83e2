"""Holds a checkpoint that `glimt quantize` wrote against its source: every weight in blocks, unpacked by compressed-tensors'
own functions where the package is there (else by the layout that its documentation gives), is bit for bit what the gguf
package of llama.cpp makes of the source's values; every other tensor has the source's bytes; config.json names by regular
expressions just the modules that are quantised, in the names of transformers and of vLLM.

Run: python test/golden/compare_written.py SOURCE WRITTEN
Needs torch, safetensors and gguf; no test does.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from safetensors.torch import load_file

TYPES = {4: GGMLQuantizationType.Q4_0, 8: GGMLQuantizationType.Q8_0}


def unpacked(words, bits, shape):
    """[out, in] int8, from little-endian words of integers with half of the range added."""
    try:
        from compressed_tensors.compressors.quantized_compressors.pack_quantized import unpack_from_int32

        return unpack_from_int32(words, bits, torch.Size(shape)).numpy()
    except ImportError:
        bytes_ = words.numpy().view(np.uint8).reshape(len(words), -1)
        if bits == 4:
            bytes_ = np.stack([bytes_ & 15, bytes_ >> 4], axis=-1).reshape(len(words), -1)
        return (bytes_.astype(np.int16) - 2 ** (bits - 1)).astype(np.int8)


def tensors(folder):
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def in_vllm(module):
    """As vLLM's Glm4v classes name a module."""
    if module.startswith("lm_head"):
        return f"language_model.{module}"
    return module.replace("model.language_model.", "language_model.model.").replace("model.visual.", "visual.")


def fits(module, patterns):
    return any(re.match(pattern.removeprefix("re:"), module) for pattern in patterns)


def check_config(config, bits_of, matrices):
    groups = config["quantization_config"]["config_groups"].values()
    ignore = config["quantization_config"]["ignore"]
    for module in matrices:
        for name in (module, in_vllm(module)):
            found = [] if fits(name, ignore) else [g["weights"]["num_bits"] for g in groups if fits(name, g["targets"])]
            expected = [bits_of[module]] if module in bits_of else []
            assert found == expected, f"{name}: the configuration says {found}, the tensors {expected}"


def main(source, written):
    before, after = tensors(source), tensors(written)
    bits_of = {}
    for name in [name for name in after if name.endswith(".weight_packed")]:
        weight = name.removesuffix("_packed")
        words, scale, shape = after.pop(name), after.pop(f"{weight}_scale"), after.pop(f"{weight}_shape").tolist()
        bits = words.shape[1] * 32 // shape[1]
        values = before.pop(weight).float().numpy()
        assert list(values.shape) == shape, weight
        expected = dequantize(quantize(values, TYPES[bits]), TYPES[bits])
        integers = unpacked(words, bits, shape).astype(np.float32).reshape(shape[0], -1, 32)
        found = (integers * scale.float().numpy()[..., None]).reshape(shape)
        # +0 and -0 are one value: blocks of zeros have no sign.
        assert np.array_equal(found, expected), f"{weight}: values differ from ggml's"
        bits_of[weight.removesuffix(".weight")] = bits
    assert before.keys() == after.keys(), before.keys() ^ after.keys()
    for name, tensor in before.items():
        assert tensor.dtype == after[name].dtype and torch.equal(tensor, after[name]), name
    matrices = [*bits_of, *(name.removesuffix(".weight") for name, t in before.items() if t.dim() == 2)]
    check_config(json.loads((written / "config.json").read_text()), bits_of, matrices)
    counts = {bits: list(bits_of.values()).count(bits) for bits in sorted(set(bits_of.values()))}
    print(f"{written}: equal to ggml's values; weights by bits {counts}, {len(before)} tensors as they were")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
