"""Writes checkpoints of this family as GGUF files, as llama.cpp's converter does: names, keys, types and the order of rows
of q and k. For fixtures (make_gguf.py) and for comparing with llama.cpp (bench/peers/make_gguf.py). Needs numpy and the
`gguf` package, whose quantisers give ggml's own bits.
"""

import json
import re
import struct

import gguf
import numpy as np

F32 = gguf.GGMLQuantizationType.F32
TEXT, VISION = "model.language_model.", "model.visual."
ARCHITECTURES = {"glm4v": "glm4", "glm_ocr": "glm4", "glm4v_moe": "glm4moe"}

WHOLE = {
    f"{TEXT}embed_tokens": "token_embd",
    f"{TEXT}norm": "output_norm",
    "lm_head": "output",
    f"{VISION}patch_embed.proj": "v.patch_embd",
    f"{VISION}post_conv_layernorm": "v.norm_embd",
    f"{VISION}embeddings.position_embedding": "v.position_embd",
    f"{VISION}post_layernorm": "v.post_ln",
    f"{VISION}downsample": "mm.patch_merger",
    f"{VISION}merger.proj": "mm.model.fc",
    f"{VISION}merger.post_projection_norm": "mm.post_norm",
    f"{VISION}merger.gate_proj": "mm.gate",
    f"{VISION}merger.up_proj": "mm.up",
    f"{VISION}merger.down_proj": "mm.down",
}
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.down_proj": "ffn_down",
    "eh_proj": "nextn.eh_proj",
    "enorm": "nextn.enorm",
    "hnorm": "nextn.hnorm",
    "embed_tokens": "nextn.embed_tokens",
    "shared_head.head": "nextn.shared_head_head",
    "shared_head.norm": "nextn.shared_head_norm",
}
LAYERS = {
    "glm4": LAYER
    | {
        "post_self_attn_layernorm": "post_attention_norm",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_up_proj": "ffn_up",
        "post_mlp_layernorm": "post_ffw_norm",
    },
    "glm4moe": LAYER
    | {
        "post_attention_layernorm": "post_attention_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.gate": "ffn_gate_inp",
        "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
        "mlp.shared_experts.up_proj": "ffn_up_shexp",
        "mlp.shared_experts.down_proj": "ffn_down_shexp",
        "mlp.experts.gate_proj": "ffn_gate_exps",
        "mlp.experts.up_proj": "ffn_up_exps",
        "mlp.experts.down_proj": "ffn_down_exps",
    },
}
BLOCK = {
    "attn.qkv": "attn_qkv",
    "attn.proj": "attn_out",
    "attn.q_norm": "attn_q_norm",
    "attn.k_norm": "attn_k_norm",
    "norm1": "ln1",
    "norm2": "ln2",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
CONTROL, USER_DEFINED, UNUSED, NORMAL = (
    gguf.TokenType.CONTROL,
    gguf.TokenType.USER_DEFINED,
    gguf.TokenType.UNUSED,
    gguf.TokenType.NORMAL,
)


class Checkpoint:
    """Tensors of a folder of safetensors files, as float32."""

    def __init__(self, folder):
        self.folder = folder
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

    @property
    def family(self):
        return self.config["model_type"]

    @property
    def architecture(self):
        return ARCHITECTURES[self.family]

    def read(self, name):
        path, offset, dtype, shape = self.entries[name]
        stored = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32}[dtype]
        values = np.fromfile(path, stored, int(np.prod(shape)), offset=offset)
        if dtype == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32).reshape(shape)


class Tensor:
    """One of a GGUF file: its name, its shape, and how its values are made when it is their turn."""

    def __init__(self, name, shape, read):
        self.name, self.shape, self.read = name, shape, read

    def stored(self, kind):
        return encoded(self.read(), kind)


def half_split(rows, heads, rotated):
    """Rows of a head whose rotation pairs are neighbours (2 i, 2 i + 1), in the order in which they lie `rotated` / 2
    apart, which is the only one that llama.cpp's M-RoPE knows."""
    per_head = rows.reshape(heads, -1, *rows.shape[1:])
    turned, rest = per_head[:, :rotated], per_head[:, rotated:]
    return np.concatenate([turned[:, 0::2], turned[:, 1::2], rest], axis=1).reshape(rows.shape)


def rope_of(text):
    return text.get("rope_parameters") or text["rope_scaling"] | {
        "rope_theta": text["rope_theta"],
        "partial_rotary_factor": text["partial_rotary_factor"],
    }


def head_size(text):
    return text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]


def rotary_size(text):
    return int(head_size(text) * rope_of(text).get("partial_rotary_factor", 0.5))


def text_tensors(checkpoint, sections=True, mtp=True):
    """In the checkpoint's order; experts stacked where the first of them stands."""
    text = checkpoint.config["text_config"]
    layers, arch = LAYERS[checkpoint.architecture], checkpoint.architecture
    heads = {"attn_q": text["num_attention_heads"], "attn_k": text["num_key_value_heads"]}
    for name, (_, _, _, shape) in checkpoint.entries.items():
        path, kind = name.rsplit(".", 1)
        if path in WHOLE and not name.startswith(VISION):
            yield Tensor(f"{WHOLE[path]}.{kind}", shape, lambda name=name: checkpoint.read(name))
        if not (found := re.fullmatch(r"model\.language_model\.layers\.(\d+)\.(.+)", path)):
            continue
        layer, module = int(found[1]), found[2]
        if layer >= text["num_hidden_layers"] and not mtp:
            continue
        if kind == "e_score_correction_bias":
            yield Tensor(f"blk.{layer}.exp_probs_b.bias", shape, lambda name=name: checkpoint.read(name))
        elif expert := re.fullmatch(r"mlp\.experts\.(\d+)\.(\w+)", module):
            if expert[1] == "0":
                names = [
                    f"{TEXT}layers.{layer}.mlp.experts.{index}.{expert[2]}.weight"
                    for index in range(text["n_routed_experts"])
                ]
                yield Tensor(
                    f"blk.{layer}.{layers[f'mlp.experts.{expert[2]}']}.weight",
                    [len(names), *shape],
                    lambda names=names: np.stack([checkpoint.read(name) for name in names]),
                )
        else:
            own = layers[module]

            def read(name=name, own=own):
                values = checkpoint.read(name)
                if arch == "glm4" and sections and own in heads:
                    return half_split(values, heads[own], rotary_size(text))
                return values

            yield Tensor(f"blk.{layer}.{own}.{kind}", shape, read)


def vision_tensors(checkpoint):
    for name, (_, _, _, shape) in checkpoint.entries.items():
        if not name.startswith(VISION):
            continue
        path, kind = name.rsplit(".", 1)
        if path == f"{VISION}patch_embed.proj" and kind == "weight":
            for frame, suffix in enumerate(["", ".1"]):
                yield Tensor(
                    f"v.patch_embd.weight{suffix}",
                    [shape[0], shape[1], shape[3], shape[4]],
                    lambda name=name, frame=frame: np.ascontiguousarray(checkpoint.read(name)[:, :, frame]),
                )
            continue
        block = re.fullmatch(r"model\.visual\.blocks\.(\d+)\.(.+)", path)
        own = f"v.blk.{block[1]}.{BLOCK[block[2]]}" if block else WHOLE[path]
        yield Tensor(f"{own}.{kind}", shape, lambda name=name: checkpoint.read(name))


def write_text_settings(writer, checkpoint, file_type, sections=True, mtp=True):
    text = checkpoint.config["text_config"]
    rope = rope_of(text)
    extra = text.get("num_nextn_predict_layers", 0) if mtp else 0
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_file_type(file_type)
    writer.add_block_count(text["num_hidden_layers"] + extra)
    writer.add_context_length(text["max_position_embeddings"])
    writer.add_embedding_length(text["hidden_size"])
    writer.add_feed_forward_length(text["intermediate_size"])
    writer.add_head_count(text["num_attention_heads"])
    writer.add_head_count_kv(text["num_key_value_heads"])
    if text.get("head_dim"):
        writer.add_key_length(text["head_dim"])
        writer.add_value_length(text["head_dim"])
    writer.add_layer_norm_rms_eps(text["rms_norm_eps"])
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(rotary_size(text))
    if sections:
        writer.add_rope_dimension_sections((rope["mrope_section"] + [0] * 4)[:4])
    if extra:
        writer.add_nextn_predict_layers(extra)
    if checkpoint.architecture == "glm4moe":
        writer.add_expert_count(text["n_routed_experts"])
        writer.add_expert_used_count(text["num_experts_per_tok"])
        writer.add_expert_group_count(text["n_group"])
        writer.add_expert_group_used_count(text["topk_group"])
        writer.add_expert_shared_count(text["n_shared_experts"])
        writer.add_expert_feed_forward_length(text["moe_intermediate_size"])
        writer.add_leading_dense_block_count(text["first_k_dense_replace"])
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_expert_weights_scale(text["routed_scaling_factor"])
        writer.add_expert_weights_norm(text["norm_topk_prob"])


def write_sampling(writer, generation):
    for key, name, add in [
        ("top_k", "general.sampling.top_k", writer.add_int32),
        ("top_p", "general.sampling.top_p", writer.add_float32),
        ("temperature", "general.sampling.temp", writer.add_float32),
    ]:
        if key in generation:
            add(name, generation[key])


def write_vocabulary(writer, checkpoint):
    tokenizer, size = checkpoint.tokenizer, checkpoint.config["text_config"]["vocab_size"]
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
    writer.add_bos_token_id(ids["[gMASK]" if checkpoint.architecture == "glm4moe" else "<|endoftext|>"])
    writer.add_pad_token_id(ids["<|endoftext|>"])
    writer.add_eot_token_id(ids["<|user|>"])
    if checkpoint.architecture == "glm4moe":
        writer.add_eom_token_id(ids["<|observation|>"])
    writer.add_add_bos_token(False)


def write_vision_settings(writer, checkpoint, file_type, preprocessor, limits=None):
    """`limits`: the least and the most pixels of a picture, which converters do not write."""
    vision = checkpoint.config["vision_config"]
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_file_type(file_type)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_clip_projector_type("glm4v")
    writer.add_vision_use_silu(True)
    writer.add_vision_projection_dim(checkpoint.config["text_config"]["hidden_size"])
    writer.add_vision_image_size(vision["image_size"])
    writer.add_vision_patch_size(vision["patch_size"])
    writer.add_vision_embedding_length(vision["hidden_size"])
    # Not the width of the tower's MLP.
    writer.add_vision_feed_forward_length(vision["intermediate_size"])
    writer.add_vision_block_count(vision["depth"])
    writer.add_vision_head_count(vision["num_heads"])
    writer.add_vision_attention_layernorm_eps(vision["rms_norm_eps"])
    writer.add_vision_image_mean(preprocessor["image_mean"])
    writer.add_vision_image_std(preprocessor["image_std"])
    if limits:
        writer.add_uint32("clip.vision.image_min_pixels", limits[0])
        writer.add_uint32("clip.vision.image_max_pixels", limits[1])


def converter_type(tensor, matrix_type):
    """What the converter stores a tensor as, when matrices are to be `matrix_type`."""
    name = tensor.name
    is_precise = (
        len(tensor.shape) == 1
        or re.search(r"norm\.weight$|ffn_gate_inp\.weight$|^v\.position_embd", name)
        or name.endswith(".bias")
    )
    if is_precise:
        return F32
    if re.match(r"v\.patch_embd|mm\.patch_merger", name):
        return matrix_type if matrix_type == gguf.GGMLQuantizationType.F16 else F32
    return matrix_type


def encoded(values, kind):
    return np.ascontiguousarray(gguf.quantize(values, kind)).view(np.uint8)


def write_tensors(writer, tensors, type_of, stored=Tensor.stored):
    """One tensor at a time is in memory: all sizes first, since the file's head has them."""
    tensors = list(tensors)
    kinds = [type_of(tensor) for tensor in tensors]
    for tensor, kind in zip(tensors, kinds):
        shape = gguf.quant_shape_to_byte_shape(tensor.shape, kind)
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), int(np.prod(shape)), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor, kind in zip(tensors, kinds):
        writer.write_tensor_data(stored(tensor, kind))
    writer.close()
