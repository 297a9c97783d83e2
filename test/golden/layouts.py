"""The tensors of a checkpoint by their published names and shapes, and random values for them.

`tensor_shapes(config)` reads the same config.json that is written next to the weights. The values are scaled by what
a tensor is for, so that activations keep their size through the layers, attention is neither flat nor one-hot, and
norms, biases and position tables all leave a visible mark on the result.
"""

import zlib

import numpy as np


def tensor_shapes(config):
    """name -> shape, in the order of the published files."""
    shapes = {}
    text, vision = config["text_config"], config["vision_config"]
    shapes.update(_decoder(config["model_type"], text))
    shapes.update(_tower(config["model_type"], vision))
    if not config.get("tie_word_embeddings", False):
        shapes["lm_head.weight"] = (text["vocab_size"], text["hidden_size"])
    return shapes


def _decoder(family, text):
    hidden, prefix = text["hidden_size"], "model.language_model."
    shapes = {f"{prefix}embed_tokens.weight": (text["vocab_size"], hidden)}
    for layer in range(text["num_hidden_layers"]):
        shapes.update(decoder_layer(family, text, layer))
    shapes[f"{prefix}norm.weight"] = (hidden,)
    return shapes


def decoder_layer(family, text, layer):
    hidden, heads, kv_heads = text["hidden_size"], text["num_attention_heads"], text["num_key_value_heads"]
    head_dim = text.get("head_dim") or hidden // heads
    at = f"model.language_model.layers.{layer}."
    shapes = {f"{at}input_layernorm.weight": (hidden,), f"{at}post_attention_layernorm.weight": (hidden,)}
    if family != "glm4v_moe":
        shapes[f"{at}post_self_attn_layernorm.weight"] = (hidden,)
        shapes[f"{at}post_mlp_layernorm.weight"] = (hidden,)
    biased = family == "glm4v" or (family == "glm4v_moe" and text["attention_bias"])
    for name, rows in (("q", heads * head_dim), ("k", kv_heads * head_dim), ("v", kv_heads * head_dim)):
        shapes[f"{at}self_attn.{name}_proj.weight"] = (rows, hidden)
        if biased:
            shapes[f"{at}self_attn.{name}_proj.bias"] = (rows,)
    shapes[f"{at}self_attn.o_proj.weight"] = (hidden, heads * head_dim)
    if family != "glm4v_moe":
        shapes[f"{at}mlp.gate_up_proj.weight"] = (2 * text["intermediate_size"], hidden)
        shapes[f"{at}mlp.down_proj.weight"] = (hidden, text["intermediate_size"])
    elif layer < text["first_k_dense_replace"]:
        shapes.update(_gated_mlp(f"{at}mlp.", hidden, text["intermediate_size"]))
    else:
        width, experts = text["moe_intermediate_size"], text["n_routed_experts"]
        shapes[f"{at}mlp.gate.weight"] = (experts, hidden)
        shapes[f"{at}mlp.gate.e_score_correction_bias"] = (experts,)
        for expert in range(experts):
            shapes.update(_gated_mlp(f"{at}mlp.experts.{expert}.", hidden, width))
        shapes.update(_gated_mlp(f"{at}mlp.shared_experts.", hidden, width * text["n_shared_experts"]))
    return shapes


def mtp_layer(family, text):
    """The multi-token-prediction layer that published files carry after the last layer; the plain model skips it."""
    hidden, layer = text["hidden_size"], text["num_hidden_layers"]
    at = f"model.language_model.layers.{layer}."
    return {
        **decoder_layer(family, text, layer),
        f"{at}embed_tokens.weight": (text["vocab_size"], hidden),
        f"{at}eh_proj.weight": (hidden, 2 * hidden),
        f"{at}enorm.weight": (hidden,),
        f"{at}hnorm.weight": (hidden,),
        f"{at}shared_head.head.weight": (text["vocab_size"], hidden),
        f"{at}shared_head.norm.weight": (hidden,),
    }


def _gated_mlp(at, width, inner, bias=False):
    shapes = {
        f"{at}gate_proj.weight": (inner, width),
        f"{at}up_proj.weight": (inner, width),
        f"{at}down_proj.weight": (width, inner),
    }
    if bias:
        shapes |= {f"{at}gate_proj.bias": (inner,), f"{at}up_proj.bias": (inner,), f"{at}down_proj.bias": (width,)}
    return shapes


def _tower(family, vision):
    ocr = family == "glm_ocr"
    hidden, out, merge, patch = (
        vision[key] for key in ("hidden_size", "out_hidden_size", "spatial_merge_size", "patch_size")
    )
    at, bias = "model.visual.", vision["attention_bias"]
    shapes = {
        f"{at}patch_embed.proj.weight": (hidden, vision["in_channels"], vision["temporal_patch_size"], patch, patch),
        f"{at}patch_embed.proj.bias": (hidden,),
    }
    if not ocr:
        shapes[f"{at}embeddings.position_embedding.weight"] = ((vision["image_size"] // patch) ** 2, hidden)
        shapes[f"{at}post_conv_layernorm.weight"] = (hidden,)
    for block in range(vision["depth"]):
        to = f"{at}blocks.{block}."
        shapes |= {f"{to}norm1.weight": (hidden,), f"{to}norm2.weight": (hidden,)}
        shapes |= {f"{to}attn.qkv.weight": (3 * hidden, hidden), f"{to}attn.proj.weight": (hidden, hidden)}
        if bias:
            shapes[f"{to}attn.qkv.bias"] = (3 * hidden,)
        if ocr:
            if bias:
                shapes[f"{to}attn.proj.bias"] = (hidden,)
            head_dim = hidden // vision["num_heads"]
            shapes |= {f"{to}attn.q_norm.weight": (head_dim,), f"{to}attn.k_norm.weight": (head_dim,)}
        # The families keep the width of a block's MLP under different keys.
        inner = vision["intermediate_size"] if ocr else out
        shapes.update(_gated_mlp(f"{to}mlp.", hidden, inner, bias=ocr and bias))
    shapes[f"{at}post_layernorm.weight"] = (hidden,)
    shapes |= {f"{at}downsample.weight": (out, hidden, merge, merge), f"{at}downsample.bias": (out,)}
    shapes[f"{at}merger.proj.weight"] = (out, out)
    shapes |= {
        f"{at}merger.post_projection_norm.weight": (out,),
        f"{at}merger.post_projection_norm.bias": (out,),
    }
    shapes.update(_gated_mlp(f"{at}merger.", out, out * vision["in_channels"] if ocr else vision["intermediate_size"]))
    return shapes


def spread(name, shape, tied=False):
    """(mean, standard deviation) of a tensor's values. With tied embeddings the last norm changes signs at random: else
    the model would repeat its last token for ever."""
    if tied and name == "model.language_model.norm.weight":
        return 0.0, 3.0
    if tied and "embed_tokens" in name:
        return 0.0, 0.5
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    if name.endswith("e_score_correction_bias"):
        return 0.0, 0.2
    if name.endswith(".bias"):
        return 0.0, 0.15
    if "norm" in name:
        return (0.6, 0.15) if "post_self_attn" in name or "post_mlp" in name else (1.0, 0.2)
    if "embed_tokens" in name:
        return 0.0, 1.0
    if "position_embedding" in name:
        return 0.0, 0.7
    gain = 1.0
    if "q_proj" in name or "k_proj" in name or "attn.qkv" in name:
        gain = 1.6
    elif "merger.down_proj" in name:
        gain = 3.0
    elif "mlp.gate.weight" in name:
        gain = 1.5
    elif name == "lm_head.weight":
        gain = 8.0
    return 0.0, gain / np.sqrt(fan_in)


def random_values(name, shape, seed, tied=False):
    """float32 values that depend on nothing but the arguments."""
    mean, deviation = spread(name, shape, tied)
    generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
    return (mean + deviation * generator.standard_normal(shape)).astype(np.float32)
