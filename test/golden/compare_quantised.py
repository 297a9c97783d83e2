"""Holds the values of data/quantised.json against what the formats' own libraries make of the same files; what can not be
imported is left out. Scales are handed over in float32, since the libraries compute in the scales' type.

    python test/golden/compare_quantised.py

Needs compressed-tensors, autoawq, gptqmodel, bitsandbytes and transformers, or as many of them as there are: no test does.
"""

import hashlib
import importlib
import json
from collections import defaultdict
from pathlib import Path

import torch
from safetensors.torch import load_file

DATA = Path(__file__).resolve().parent / "data"


def compressed_tensors(parts, config):
    forward = importlib.import_module("compressed_tensors.quantization.lifecycle.forward")
    schemes = importlib.import_module("compressed_tensors.quantization")
    given = config["config_groups"]["group_0"]["weights"]
    args = schemes.QuantizationArgs(**given)
    scale, zero = parts["weight_scale"], parts.get("weight_zero_point")
    if "weight" in parts:
        elements = parts["weight"].float()
        return forward.dequantize(elements, scale.float(), None if zero is None else zero.float(), args=args)
    if parts["weight_packed"].dtype == torch.uint8:
        helpers = importlib.import_module("compressed_tensors.compressors.nvfp4.helpers")
        packed = parts["weight_packed"]
        elements = helpers.unpack_fp4_from_uint8(packed, packed.shape[0], packed.shape[1] * 2, dtype=torch.float32)
        if scale.dtype == torch.uint8:
            scale = importlib.import_module("compressed_tensors.compressors.mx_utils").decompress_mx_scale(scale)
        return forward.dequantize(elements, scale.float(), global_scale=parts.get("weight_global_scale"), args=args)
    helpers = importlib.import_module("compressed_tensors.compressors.pack_quantized.helpers")
    shape = tuple(parts["weight_shape"].tolist())
    elements = helpers.unpack_from_int32(parts["weight_packed"], given["num_bits"], shape).float()
    if zero is not None:
        zero = helpers.unpack_from_int32(zero, given["num_bits"], (shape[0], scale.shape[1]), packed_dim=0).float()
    return forward.dequantize(elements, scale.float(), zero, args=args, g_idx=parts.get("weight_g_idx"))


def finegrained_fp8(parts, config):
    fp8 = importlib.import_module("transformers.integrations.finegrained_fp8")
    scale = parts.get("weight_scale_inv", parts.get("weight_scale")).float()

    class Quantizer:
        quantization_config = type("Config", (), {"weight_block_size": config.get("weight_block_size")})()

    given = {"weight$": [parts["weight"].float()], "weight_scale_inv": [scale]}
    return next(iter(fp8.Fp8Dequantize(Quantizer()).convert(given, full_layer_name="weight").values()))


def awq(parts, config):
    packing = importlib.import_module("awq.utils.packing_utils")
    return packing.dequantize_gemm(parts["qweight"], parts["qzeros"], parts["scales"].float(), 4, config["group_size"]).T


def gptq(parts, config):
    library = importlib.import_module("gptqmodel.utils.model_dequant")
    bits = config["bits"]
    q, zeros = library.unpack_rows(parts["qweight"], bits), parts["qzeros"]
    version_1 = config["quant_method"] == "gptq" or "gptq" in config["packing_format"]
    if version_1 and config.get("checkpoint_format", "gptq") == "gptq":
        zeros = library._correct_gptq_v1_qzeros(zeros, bits)
    zeros = library.unpack_cols(zeros, bits)
    groups = parts.get("g_idx", torch.arange(q.shape[0]) // (q.shape[0] // len(zeros))).long()
    return ((q.float() - zeros.float()[groups]) * parts["scales"].float()[groups]).T


def mlx(parts, config):
    metal = importlib.import_module("transformers.integrations.metal_quantization")
    words, groups = parts["weight"].view(torch.int32), parts["scales"].shape[1]
    group = config["group_size"] if words.shape[1] * 32 // config["bits"] == groups * config["group_size"] else 32
    bits = words.shape[1] * 32 // (groups * group)
    return metal._affine_dequantize_tensor(words, parts["scales"], parts["biases"], group, bits)


def bitsandbytes(parts, config):
    functional = importlib.import_module("bitsandbytes.functional")
    given = {name.removeprefix("weight."): part for name, part in parts.items() if name != "weight"}
    state = functional.QuantState.from_dict(given, device="cpu")
    state.dtype = torch.float32
    return functional.dequantize_4bit(parts["weight"], state)


LIBRARIES = {"compressed-tensors": compressed_tensors, "fp8": finegrained_fp8, "awq": awq, "gptq": gptq, "mlx": mlx, "bitsandbytes": bitsandbytes}


def library_of(fixture, config):
    if fixture["mlx"]:
        return "mlx"
    if config["quant_method"] == "auto-round":
        return "awq" if "awq" in config["packing_format"] else "gptq"
    return config["quant_method"]


def main():
    for fixture in json.loads((DATA / "quantised.json").read_text()):
        config = fixture["separateConfig"] or fixture["config"]["quantization_config"]
        modules = defaultdict(dict)
        for name, part in load_file(DATA / "quantised" / f"{fixture['name']}.safetensors").items():
            module, end = name.rsplit(".weight.", 1) if ".weight." in name else name.rsplit(".", 1)
            modules[module][f"weight.{end}" if ".weight." in name else end] = part
        library = library_of(fixture, config)
        try:
            found = [LIBRARIES[library](parts, config) for _, parts in sorted(modules.items())]
        except ImportError as error:
            print(f"{fixture['name']:20} {library:20} not compared: {error}")
            continue
        hashes = sorted(hashlib.sha256(value.float().contiguous().numpy().tobytes()).hexdigest() for value in found)
        same = hashes == sorted(fixture["sha256"].values())
        print(f"{fixture['name']:20} {library:20} {'equal' if same else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
