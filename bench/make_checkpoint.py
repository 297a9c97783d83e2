"""Writes a random checkpoint of a released size, in the published format: `python bench/make_checkpoint.py --model
glm-ocr --out DIR`. For measuring memory and speed where the real weights are not at hand; needs numpy only.

Values are drawn from a table of normal quantiles with random 16-bit indices, so that it writes about as fast as the
disk, and one tensor's chunk at a time, so that it runs in little memory. Activations stay finite and greedy choices
vary; the text is made of invented words.
"""

import argparse
import json
import struct
import sys
import time
from pathlib import Path
from statistics import NormalDist

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test" / "golden"))

import byte_bpe  # noqa: E402
import layouts  # noqa: E402
import specs  # noqa: E402

CHUNK = 1 << 22  # elements made at once
SAFETENSORS_NAME = {"bf16": "BF16", "f16": "F16", "f32": "F32"}
CONFIG_NAME = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}
BYTES = {"bf16": 2, "f16": 2, "f32": 4}

VISION_41 = {"depth": 24, "hidden_size": 1536, "num_heads": 12, "out_hidden_size": 4096, "attention_bias": False}
TEXT_41 = {
    "vocab_size": 151552,
    "hidden_size": 4096,
    "intermediate_size": 13696,
    "num_hidden_layers": 40,
    "num_attention_heads": 32,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "attention_bias": True,
    "max_position_embeddings": 65536,
}

# first_added: the id of the first special token; below it the vocabulary proper, above it the layout's tokens.
MODELS = {
    "glm-4.1v": {
        "model_type": "glm4v",
        "architecture": "Glm4vForConditionalGeneration",
        "kind": "Glm4v",
        "layout": (byte_bpe.LAYOUT_41, frozenset(), "glm41v.jinja"),
        "first_added": 151329,
        "eos": ["<|endoftext|>", "<|user|>", "<|observation|>", "</answer>"],
        "rope": {"partial_rotary_factor": 0.5, "mrope_section": [8, 12, 12]},
        "longest_edge": 47040000,
        "vision": {**VISION_41, "intermediate_size": 13696},
        "text": TEXT_41,
    },
    "glm-4.6v-flash": {
        "model_type": "glm4v",
        "architecture": "Glm4vForConditionalGeneration",
        "kind": "Glm46V",
        "layout": (byte_bpe.LAYOUT_45, byte_bpe.ORDINARY_45, "glm45v.jinja"),
        "first_added": 151329,
        "eos": ["<|endoftext|>", "<|user|>", "<|observation|>"],
        "rope": {"partial_rotary_factor": 0.5, "mrope_section": [8, 12, 12]},
        "longest_edge": 47040000,
        "vision": {**VISION_41, "intermediate_size": 13696},
        "text": {**TEXT_41, "max_position_embeddings": 131072},
    },
    "glm-ocr": {
        "model_type": "glm_ocr",
        "architecture": "GlmOcrForConditionalGeneration",
        "kind": "Glm46V",
        "layout": (byte_bpe.LAYOUT_45, byte_bpe.ORDINARY_45, "glm45v.jinja"),
        "first_added": 59246,
        "eos": ["<|endoftext|>", "<|user|>"],
        "rope": {"partial_rotary_factor": 1.0, "mrope_section": [16, 24, 24]},
        "longest_edge": 9633792,
        "vision": {
            "depth": 24,
            "hidden_size": 1024,
            "num_heads": 16,
            "out_hidden_size": 1536,
            "intermediate_size": 4096,
            "attention_bias": True,
        },
        "text": {
            "vocab_size": 59392,
            "hidden_size": 1536,
            "intermediate_size": 4608,
            "num_hidden_layers": 16,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "attention_bias": False,
            "max_position_embeddings": 131072,
        },
    },
    "glm-4.5v": {
        "model_type": "glm4v_moe",
        "architecture": "Glm4vMoeForConditionalGeneration",
        "kind": "Glm4v",
        "layout": (byte_bpe.LAYOUT_45, byte_bpe.ORDINARY_45, "glm45v.jinja"),
        "first_added": 151329,
        "eos": ["<|endoftext|>", "<|user|>", "<|observation|>"],
        "rope": {"partial_rotary_factor": 0.5, "mrope_section": [8, 12, 12]},
        "longest_edge": 47040000,
        "vision": {**VISION_41, "intermediate_size": 10944},
        "text": {
            **TEXT_41,
            "intermediate_size": 10944,
            "num_hidden_layers": 46,
            "num_attention_heads": 96,
            "num_key_value_heads": 8,
            "moe_intermediate_size": 1408,
            "n_routed_experts": 128,
            "num_experts_per_tok": 8,
            "n_shared_experts": 1,
            "n_group": 1,
            "topk_group": 1,
            "norm_topk_prob": True,
            "routed_scaling_factor": 1.0,
            "first_k_dense_replace": 1,
        },
    },
}


def configuration_files(model, dtype, layers, depth):
    """file name -> JSON object or text, and the id from which on there are only special and unused tokens."""
    layout, ordinary, template = model["layout"]
    words = invented_words(model["first_added"] - 256 - specs.NUM_MERGES)
    tokenizer, ids = byte_bpe.build(layout, ordinary, specs.NUM_MERGES, words)
    assert ids[layout[0]] == model["first_added"]
    assert max(ids.values()) < model["text"]["vocab_size"]
    eos = [ids[token] for token in model["eos"]]
    common = {"hidden_act": "silu", "attention_dropout": 0.0, "rms_norm_eps": 1e-05}
    config = {
        "architectures": [model["architecture"]],
        "model_type": model["model_type"],
        **specs.token_ids(ids),
        "tie_word_embeddings": False,
        "dtype": CONFIG_NAME[dtype],
        "transformers_version": "5.18.0",
        "text_config": {
            "model_type": f"{model['model_type']}_text",
            **model["text"],
            **common,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, **model["rope"]},
            "use_cache": True,
            "pad_token_id": ids["<|endoftext|>"],
            "eos_token_id": eos,
        },
        "vision_config": {
            "model_type": f"{model['model_type']}_vision",
            **model["vision"],
            **common,
            "image_size": 336,
            "in_channels": 3,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
        },
    }
    if layers:
        config["text_config"]["num_hidden_layers"] = layers
    if depth:
        config["vision_config"]["depth"] = depth
    kind, longest = model["kind"], model["longest_edge"]
    files = {
        "config.json": config,
        "generation_config.json": specs.generation_config(eos, ids),
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": byte_bpe.tokenizer_config(layout, ids, ordinary, f"{kind}Processor"),
        "chat_template.jinja": (specs.TEMPLATES / template).read_text(),
        "preprocessor_config.json": specs.image_processor(kind, 12544, longest),
        "video_preprocessor_config.json": specs.video_processor(kind, 12544, longest),
    }
    return files, model["first_added"]


def invented_words(count):
    """`count` different words of three syllables, each with a blank before it."""
    syllables = [consonant + vowel for consonant in "bcdfghjklmnprstvwxyz" for vowel in "aeiou"]
    return [
        "Ġ" + syllables[index // 10000] + syllables[index // 100 % 100] + syllables[index % 100]
        for index in range(count)
    ]


class Normal:
    """Normal values in a storage type, by table: quantile 0 to 65535 -> bits."""

    def __init__(self):
        inverse = NormalDist().inv_cdf
        self.quantiles = np.array([inverse((index + 0.5) / 65536) for index in range(65536)])

    def table(self, mean, deviation, dtype):
        values = (mean + deviation * self.quantiles).astype(np.float32)
        if dtype == "f32":
            return values.view(np.uint32)
        if dtype == "f16":
            return values.astype(np.float16).view(np.uint16)
        bits = values.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def plan_shards(shapes, dtype, limit):
    """Lists of names whose bytes stay under `limit` (a larger tensor stands alone)."""
    shards, filled = [[]], 0
    for name, shape in shapes.items():
        size = byte_size(name, shape, dtype)
        if shards[-1] and filled + size > limit:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


def stored_dtype(name, dtype):
    """The router's correction bias is kept in float32, as published."""
    return "f32" if name.endswith("e_score_correction_bias") else dtype


def byte_size(name, shape, dtype):
    return int(np.prod(shape)) * BYTES[stored_dtype(name, dtype)]


def write_shard(path, names, shapes, dtype, first_quiet, normal, random):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in names:
        size = byte_size(name, shapes[name], dtype)
        header[name] = {
            "dtype": SAFETENSORS_NAME[stored_dtype(name, dtype)],
            "shape": list(shapes[name]),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for name in names:
            for count, table in parts(name, shapes[name], stored_dtype(name, dtype), first_quiet, normal):
                for start in range(0, count, CHUNK):
                    indices = random.integers(0, 65536, min(CHUNK, count - start), dtype=np.uint16)
                    file.write(table[indices].data)


def parts(name, shape, dtype, first_quiet, normal):
    """(element count, table) pieces of a tensor: the output rows of special and unused tokens are made small."""
    mean, deviation = layouts.spread(name, shape)
    table = normal.table(mean, deviation, dtype)
    if name != "lm_head.weight":
        return [(int(np.prod(shape)), table)]
    rows, width = shape
    quiet = normal.table(mean, deviation * 0.2, dtype)
    return [(first_quiet * width, table), ((rows - first_quiet) * width, quiet)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, help="decoder layers, instead of the released number")
    parser.add_argument("--depth", type=int, help="blocks of the vision tower, instead of the released number")
    parser.add_argument("--dtype", choices=BYTES, default="bf16")
    parser.add_argument("--shard-gb", type=float, default=2.0, help="largest weight file, in 10^9 bytes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.perf_counter()
    files, first_quiet = configuration_files(MODELS[options.model], options.dtype, options.layers, options.depth)
    options.out.mkdir(parents=True, exist_ok=True)
    if any(options.out.iterdir()):
        parser.error(f"{options.out} is not empty")
    for name, content in files.items():
        body = content if isinstance(content, str) else json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (options.out / name).write_text(body)
    shapes = layouts.tensor_shapes(files["config.json"])
    total = sum(byte_size(name, shape, options.dtype) for name, shape in shapes.items())
    shards = plan_shards(shapes, options.dtype, options.shard_gb * 1e9)
    normal, random, weight_map = Normal(), np.random.Generator(np.random.SFC64(options.seed)), {}
    for index, names in enumerate(shards):
        file = "model.safetensors"
        if len(shards) > 1:
            file = f"model-{index + 1:05d}-of-{len(shards):05d}.safetensors"
        write_shard(options.out / file, names, shapes, options.dtype, first_quiet, normal, random)
        weight_map |= dict.fromkeys(names, file)
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        (options.out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    parameters = sum(int(np.prod(shape)) for shape in shapes.values())
    print(
        f"{options.model}: {len(shapes)} tensors, {parameters / 1e9:.3f} G parameters, {total / 1e9:.3f} GB of"
        f" {options.dtype} in {len(shards)} file(s), {time.perf_counter() - began:.1f} s"
    )


if __name__ == "__main__":
    main()
