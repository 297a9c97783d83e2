"""Quantised versions of the small checkpoints beside this script, one for each way that published files are quantised in,
written by the rules of each format, and what transformers answers with the values that they stand for.

    pip install -r test/golden/requirements.txt && python test/golden/make_quantised.py

Writes data/quantised/<name>.safetensors, the tensors that stand in place of others of the base, and
data/quantised.json. Read by test/checkpoint/quantised/*.test.ts.
"""

import hashlib
import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Callable

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from make_variants import answer  # noqa: E402
from quantised import bitsandbytes, compressed_tensors, mlx, transposed  # noqa: E402

DATA = HERE / "data"
LEAST_MARGIN = 0.01
BF16, F16, F32 = torch.bfloat16, torch.float16, torch.float32

LAYER_0 = r"model\.language_model\.layers\.0\..*_proj"
ATTENTION_0 = r"model\.language_model\.layers\.0\.self_attn\..*_proj"
EXPERTS = r"model\.language_model\.layers\.(0\.self_attn\..*|1\.mlp\.(experts\.\d|shared_experts)\.(gate|up|down))_proj"
DENSE, FLASH, OCR, MOE = "glm4v-tiny", "glm46v-flash-tiny", "glm_ocr-tiny", "glm4v_moe-tiny"


@dataclass(frozen=True)
class Fixture:
    name: str
    base: str
    modules: str
    encode: Callable
    config: dict
    mlx: bool = False  # names and layouts are MLX's
    separate: bool = False  # the configuration is in quantize_config.json
    others: dict = field(default_factory=dict)  # modules that are coded otherwise


def shuffled(cols, group):
    """As GPTQ with desc_act: columns in the order of another measure share a group."""
    order = np.random.default_rng(cols).permutation(cols)
    groups = np.empty(cols, dtype=np.int64)
    groups[order] = np.arange(cols) // group
    return groups


def compressed(format, weights, ignore=(), inputs=None):
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs, "output_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": format,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": list(ignore),
        "kv_cache_scheme": None,
    }


def args(bits, kind, strategy, **more):
    return {"num_bits": bits, "type": kind, "strategy": strategy, "symmetric": True, "dynamic": False, "group_size": None} | more


IGNORED = ["lm_head", "re:.*visual.*", "re:.*mlp.gate$"]
TOKENS = {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True, "symmetric": True}
STATIC = {"input_scale": torch.tensor([0.02]), "output_scale": torch.tensor([0.5])}


def gptq(bits, group, **more):
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": False, "sym": True, "lm_head": False} | more


def auto_round(packing, **more):
    return {"quant_method": "auto-round", "bits": 4, "group_size": 32, "sym": True, "packing_format": packing, "iters": 200} | more


def bnb(kind, nested):
    return {
        "quant_method": "bitsandbytes",
        "load_in_4bit": True,
        "load_in_8bit": False,
        "bnb_4bit_quant_type": kind,
        "bnb_4bit_use_double_quant": nested,
        "llm_int8_skip_modules": ["visual", "lm_head"],
    }


PACK, FP8 = compressed_tensors.pack_quantized, compressed_tensors.fp8
FIXTURES = [
    Fixture("fp8-channel", MOE, EXPERTS, partial(FP8, rows=1, cols=None, dtype=BF16),
            compressed("float-quantized", args(8, "float", "channel"), IGNORED, TOKENS)),
    Fixture("fp8-tensor", DENSE, ATTENTION_0, partial(FP8, rows=None, cols=None, dtype=F32, scale_shape=[1], extra=STATIC),
            compressed("float-quantized", args(8, "float", "tensor"), IGNORED)),
    Fixture("fp8-block", OCR, LAYER_0, partial(FP8, rows=16, cols=32, dtype=BF16),
            compressed("float-quantized", args(8, "float", "block", block_structure=[16, 32]), IGNORED)),
    Fixture("int8-channel", DENSE, ATTENTION_0, partial(compressed_tensors.int8, dtype=BF16),
            compressed("int-quantized", args(8, "int", "channel"), IGNORED)),
    Fixture("int8-asymmetric", OCR, ATTENTION_0, partial(compressed_tensors.int8, dtype=F32, symmetric=False),
            compressed("int-quantized", args(8, "int", "channel", symmetric=False))),
    Fixture("w4a16", DENSE, LAYER_0, partial(PACK, bits=4, group=32, symmetric=True, dtype=BF16),
            compressed("pack-quantized", args(4, "int", "group", group_size=32), IGNORED)),
    Fixture("w4a16-asymmetric", OCR, LAYER_0, partial(PACK, bits=4, group=16, symmetric=False, dtype=F16),
            compressed("pack-quantized", args(4, "int", "group", group_size=16, symmetric=False), IGNORED)),
    Fixture("w4a16-actorder", DENSE, LAYER_0, partial(PACK, bits=4, group=16, symmetric=True, dtype=BF16, actorder=shuffled),
            compressed("pack-quantized", args(4, "int", "group", group_size=16, actorder="group"))),
    Fixture("w4a16-f16", DENSE, ATTENTION_0, partial(PACK, bits=4, group=32, symmetric=True, dtype=F16),
            compressed("pack-quantized", args(4, "int", "group", group_size=32))),
    Fixture("w8a16-f16", DENSE, ATTENTION_0, partial(PACK, bits=8, group=64, symmetric=True, dtype=F16),
            compressed("pack-quantized", args(8, "int", "group", group_size=64))),
    Fixture("w4a16-f16-asymmetric", DENSE, ATTENTION_0, partial(PACK, bits=4, group=64, symmetric=False, dtype=F16),
            compressed("pack-quantized", args(4, "int", "group", group_size=64, symmetric=False))),
    Fixture("w8a16", OCR, ATTENTION_0, partial(PACK, bits=8, group=None, symmetric=True, dtype=BF16),
            compressed("pack-quantized", args(8, "int", "channel"), IGNORED)),
    Fixture("w8a16-asymmetric", DENSE, ATTENTION_0, partial(PACK, bits=8, group=32, symmetric=False, dtype=BF16),
            compressed("pack-quantized", args(8, "int", "group", group_size=32, symmetric=False))),
    Fixture("nvfp4", MOE, EXPERTS.replace("|down", ""), compressed_tensors.nvfp4,
            compressed("nvfp4-pack-quantized", args(4, "float", "tensor_group", group_size=16), IGNORED)),
    Fixture("mxfp4", DENSE, LAYER_0, compressed_tensors.mxfp4,
            compressed("mxfp4-pack-quantized", args(4, "float", "group", group_size=32))),
    Fixture("finegrained-fp8", DENSE, LAYER_0, partial(FP8, rows=32, cols=16, dtype=F32, name="weight_scale_inv"),
            {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [32, 16],
             "modules_to_not_convert": ["model.visual", "lm_head"]}),
    Fixture("fp8-static", OCR, ATTENTION_0, partial(FP8, rows=None, cols=None, dtype=F32, scale_shape=[], extra=STATIC),
            {"quant_method": "fp8", "activation_scheme": "static", "ignored_layers": ["lm_head"]}),
    Fixture("awq", DENSE, LAYER_0, partial(transposed.awq, group=32),
            {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm", "modules_to_not_convert": ["visual"]}),
    Fixture("gptq", DENSE, LAYER_0, partial(transposed.gptq, bits=4, group=32, symmetric=True, zero_offset=1), gptq(4, 32)),
    Fixture("gptq-act-order", DENSE, LAYER_0, partial(transposed.gptq, bits=4, group=16, symmetric=True, zero_offset=1, act_order=shuffled),
            gptq(4, 16, desc_act=True, checkpoint_format="gptq")),
    Fixture("gptq-v2", OCR, LAYER_0, partial(transposed.gptq, bits=4, group=32, symmetric=False, zero_offset=0),
            gptq(4, 32, sym=False, checkpoint_format="gptq_v2")),
    Fixture("gptq-2-bits", DENSE, LAYER_0, partial(transposed.gptq, bits=2, group=16, symmetric=False, zero_offset=0),
            gptq(2, 16, sym=False, checkpoint_format="gptq_v2")),
    Fixture("gptq-3-bits", DENSE, LAYER_0, partial(transposed.gptq, bits=3, group=32, symmetric=False, zero_offset=1), gptq(3, 32, sym=False)),
    Fixture("gptq-8-bits", DENSE, ATTENTION_0, partial(transposed.gptq, bits=8, group=64, symmetric=True, zero_offset=1), gptq(8, -1),
            separate=True),
    Fixture("auto-round-gptq", DENSE, ATTENTION_0, partial(transposed.gptq, bits=4, group=32, symmetric=True, zero_offset=1, with_g_idx=False),
            auto_round("auto_round:auto_gptq")),
    Fixture("auto-round", DENSE, ATTENTION_0, partial(transposed.gptq, bits=4, group=32, symmetric=False, zero_offset=0, with_g_idx=False),
            auto_round("auto_round", sym=False)),
    Fixture("auto-round-awq", DENSE, ATTENTION_0, partial(transposed.awq, group=32), auto_round("auto_round:auto_awq", sym=False)),
    Fixture("mlx-4-bits", FLASH, r"model\.language_model\.(embed_tokens|layers\.\d\.(self_attn\..*|mlp\.gate_up)_proj)",
            partial(mlx.affine, bits=4, group=32, dtype=F16), {"group_size": 32, "bits": 4, "mode": "affine"}, mlx=True),
    Fixture("mlx-8-bits", DENSE, rf"lm_head|{ATTENTION_0}", partial(mlx.affine, bits=8, group=64, dtype=BF16),
            {"group_size": 64, "bits": 8, "language_model.model.layers.0.self_attn.o_proj": {"group_size": 32, "bits": 4},
             "language_model.model.layers.1.self_attn.o_proj": False}, mlx=True,
            others={"model.language_model.layers.0.self_attn.o_proj": partial(mlx.affine, bits=4, group=32, dtype=BF16)}),
    Fixture("nf4", DENSE, LAYER_0, partial(bitsandbytes.four_bits, kind="nf4", nested=True), bnb("nf4", True)),
    Fixture("nf4-plain", OCR, ATTENTION_0, partial(bitsandbytes.four_bits, kind="nf4", nested=False), bnb("nf4", False)),
    Fixture("fp4", DENSE, ATTENTION_0, partial(bitsandbytes.four_bits, kind="fp4", nested=False), bnb("fp4", False)),
]  # fmt: skip


MLX_NAMES = [("model.visual.", "vision_tower."), ("model.language_model.", "language_model.model."), ("lm_head", "language_model.lm_head")]


def mlx_name(name):
    return next(new + name[len(old) :] for old, new in MLX_NAMES if name.startswith(old))


def base_tensors(base):
    tensors = {}
    for file in sorted((DATA / base).glob("*.safetensors")):
        tensors |= load_file(file)
    return tensors


def quantised(fixture):
    """(tensors in place of others, float32 values by the name of the weight that they stand for)."""
    parts, values = {}, {}
    for name, weight in base_tensors(fixture.base).items():
        module = name.removesuffix(".weight")
        if module == name or not re.fullmatch(fixture.modules, module):
            continue
        encode = fixture.others.get(module, fixture.encode)
        of_module, values[name] = encode(weight.float().numpy())
        path = mlx_name(module) if fixture.mlx else module
        parts |= {f"{path}.{end}": part.clone(memory_format=torch.contiguous_format) for end, part in of_module.items()}
    return parts, values


def written_config(fixture):
    """What it adds to config.json."""
    if fixture.separate:
        return {}
    if fixture.mlx:
        return {"quantization": fixture.config, "quantization_config": fixture.config}
    return {"quantization_config": fixture.config}


def answer_with(fixture, values):
    """What transformers makes of the base with these values in float32."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder) / fixture.name
        shutil.copytree(DATA / fixture.base, folder, ignore=shutil.ignore_patterns("cases", "*.safetensors*"))
        tensors = {name: weight.float() for name, weight in base_tensors(fixture.base).items()}
        tensors |= {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in values.items()}
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return answer(fixture.base, folder)


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    (DATA / "quantised").mkdir(exist_ok=True)
    made = []
    for fixture in FIXTURES:
        parts, values = quantised(fixture)
        assert values and all(value.dtype == np.float32 for value in values.values()), fixture.name
        result = answer_with(fixture, values)
        if result["margin"] < LEAST_MARGIN:
            sys.exit(f"{fixture.name}: the tokens are too near to others ({result['margin']})")
        file = DATA / "quantised" / f"{fixture.name}.safetensors"
        save_file(parts, file, {"format": "mlx" if fixture.mlx else "pt"})
        made.append({
            "name": fixture.name,
            "base": fixture.base,
            "mlx": fixture.mlx,
            "config": written_config(fixture),
            "separateConfig": fixture.config if fixture.separate else None,
            "sha256": {name: hashlib.sha256(value.astype("<f4").tobytes()).hexdigest() for name, value in values.items()},
            **{key: result[key] for key in ("greedyIds", "margin", "lastLogits")},
        })  # fmt: skip
        print(f"  {fixture.name:20} {len(values):3} weights, {file.stat().st_size:7} bytes, margin {result['margin']:.3f}")
    lines = ",\n".join(json.dumps(row) for row in made)
    (DATA / "quantised.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
