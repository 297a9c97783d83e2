"""Writes a GGUF file of a checkpoint's text model: `python bench/peers/make_gguf.py --checkpoint DIR --type q8_0 --out FILE`.

For comparing with llama.cpp on the same weights. Only dense models of the family (architecture "glm4"), only the
decoder: llama.cpp's vision tower for them computes something else (an extra norm). Matrices are of the one type asked
for; the embedding table, the head, keys and values of another where `--wider` says so; norms are float32. Needs numpy and the
`gguf` package, whose quantisers give ggml's own bits.
"""

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np

try:
    import gguf
except ImportError:
    sys.exit("make_gguf: needs the Python package gguf: pip install gguf")

TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
TEXT = "model.language_model."
WHOLE = {
    f"{TEXT}embed_tokens.weight": "token_embd.weight",
    f"{TEXT}norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_self_attn_layernorm": "post_attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_mlp_layernorm": "post_ffw_norm",
}
# Those that glimt's q4 keeps in q8: they lose most.
WIDER = ("token_embd", "output", "attn_k", "attn_v")
CONTROL, USER_DEFINED, UNUSED, NORMAL = (
    gguf.TokenType.CONTROL,
    gguf.TokenType.USER_DEFINED,
    gguf.TokenType.UNUSED,
    gguf.TokenType.NORMAL,
)


class Checkpoint:
    """Tensors of a folder of safetensors files, as float32."""

    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.tokenizer = json.loads((folder / "tokenizer.json").read_text())
        self.entries = {}
        for path in sorted(folder.glob("*.safetensors")):
            with open(path, "rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            for name, entry in header.items():
                self.entries[name] = (path, 8 + length + entry["data_offsets"][0], entry["dtype"], entry["shape"])

    def read(self, name):
        path, offset, dtype, shape = self.entries[name]
        stored = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32}[dtype]
        values = np.fromfile(path, stored, int(np.prod(shape)), offset=offset)
        if dtype == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32).reshape(shape)


def gguf_name(name):
    """Of a text tensor; None for others."""
    if name in WHOLE:
        return WHOLE[name]
    if not name.startswith(f"{TEXT}layers."):
        return None
    layer, module = name.removeprefix(f"{TEXT}layers.").split(".", 1)
    module, kind = module.rsplit(".", 1)
    return f"blk.{layer}.{LAYER[module]}.{kind}"


def half_split(rows, heads, rotated):
    """Rows of a head whose rotation pairs are neighbours (2 i, 2 i + 1), in the order in which they lie `rotated` / 2
    apart, which is the only one that llama.cpp's M-RoPE knows."""
    per_head = rows.reshape(heads, -1, *rows.shape[1:])
    turned, rest = per_head[:, :rotated], per_head[:, rotated:]
    return np.concatenate([turned[:, 0::2], turned[:, 1::2], rest], axis=1).reshape(rows.shape)


def rotary_size(text):
    return int(head_size(text) * text["rope_parameters"].get("partial_rotary_factor", 0.5))


def head_size(text):
    return text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]


def write_settings(writer, config, file_type):
    text = config["text_config"]
    rope = text["rope_parameters"]
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(f"{config['model_type']} for comparing")
    writer.add_file_type(file_type)
    writer.add_block_count(text["num_hidden_layers"])
    writer.add_context_length(text["max_position_embeddings"])
    writer.add_embedding_length(text["hidden_size"])
    writer.add_feed_forward_length(text["intermediate_size"])
    writer.add_head_count(text["num_attention_heads"])
    writer.add_head_count_kv(text["num_key_value_heads"])
    writer.add_key_length(head_size(text))
    writer.add_value_length(head_size(text))
    writer.add_layer_norm_rms_eps(text["rms_norm_eps"])
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(rotary_size(text))
    writer.add_rope_dimension_sections((rope["mrope_section"] + [0] * 4)[:4])


def write_vocabulary(writer, tokenizer, size):
    by_id = {index: (token, NORMAL) for token, index in tokenizer["model"]["vocab"].items()}
    for added in tokenizer["added_tokens"]:
        special = added["special"] or added["content"].startswith("<|")
        by_id[added["id"]] = (added["content"], CONTROL if special else USER_DEFINED)
    tokens = [by_id.get(index, (f"[PAD{index}]", UNUSED)) for index in range(size)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("glm4")
    writer.add_token_list([token for token, _ in tokens])
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_token_merges(merges)
    ids = {token: index for index, (token, _) in enumerate(tokens)}
    writer.add_eos_token_id(ids["<|endoftext|>"])
    writer.add_bos_token_id(ids["<|endoftext|>"])
    writer.add_pad_token_id(ids["<|endoftext|>"])
    writer.add_eot_token_id(ids["<|user|>"])
    writer.add_add_bos_token(False)


def tensor_type(name, dimensions, matrix_type, wider_type):
    if dimensions == 1:
        return gguf.GGMLQuantizationType.F32
    return wider_type if name.removesuffix(".weight").split(".")[-1] in WIDER else matrix_type


def write_tensors(writer, checkpoint, *types):
    text = checkpoint.config["text_config"]
    heads = {"attn_q": text["num_attention_heads"], "attn_k": text["num_key_value_heads"]}
    names = [name for name in checkpoint.entries if gguf_name(name)]
    # All sizes first: the file's head has them, so that one tensor at a time is in memory.
    for name in names:
        shape = checkpoint.entries[name][3]
        kind = tensor_type(gguf_name(name), len(shape), *types)
        stored = gguf.quant_shape_to_byte_shape(shape, kind)
        writer.add_tensor_info(gguf_name(name), stored, np.dtype(np.uint8), int(np.prod(stored)), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name in names:
        values = checkpoint.read(name)
        module = gguf_name(name).split(".")[-2]
        if module in heads:
            values = half_split(values, heads[module], rotary_size(text))
        kind = tensor_type(gguf_name(name), values.ndim, *types)
        writer.write_tensor_data(np.ascontiguousarray(gguf.quantize(values, kind)).view(np.uint8))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder with config.json, tokenizer.json, weights")
    parser.add_argument("--type", choices=TYPES, required=True, help="of the matrices")
    parser.add_argument("--wider", choices=TYPES, help="of the embedding table, the head, keys and values, where another")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    checkpoint = Checkpoint(options.checkpoint)
    family = checkpoint.config["model_type"]
    if family not in ("glm4v", "glm_ocr"):
        parser.error(f"{options.checkpoint} is a {family} model, expected glm4v or glm_ocr")
    matrix_type, file_type = TYPES[options.type]
    # Under another name until it is whole: nobody takes half a file for one.
    unfinished = options.out.with_name(options.out.name + ".part")
    writer = gguf.GGUFWriter(unfinished, "glm4")
    write_settings(writer, checkpoint.config, file_type)
    write_vocabulary(writer, checkpoint.tokenizer, checkpoint.config["text_config"]["vocab_size"])
    write_tensors(writer, checkpoint, matrix_type, TYPES[options.wider or options.type][0])
    writer.close()
    unfinished.replace(options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1e9:.3f} GB of {options.type}")


if __name__ == "__main__":
    main()
