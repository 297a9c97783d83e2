"""The tiny checkpoints: their configuration files, in the shapes that published ones come in."""

from dataclasses import dataclass
from pathlib import Path

import byte_bpe

TEMPLATES = Path(__file__).parent / "templates"
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]
NUM_MERGES = 80


@dataclass(frozen=True)
class Spec:
    name: str
    seed: int
    dtype: str  # of the stored weights: "float32", "bfloat16" or "float16"
    shards: int
    mtp_layer: bool
    files: dict  # file name -> JSON object or text
    eos: tuple
    stop_case: str | None  # the case that is made to stop at an eos before its 24 tokens, if any


def specs():
    return [glm4v_tiny(), glm_ocr_tiny(), glm46v_flash_tiny(), glm4v_moe_tiny()]


def glm4v_tiny():
    """GLM-4.1V as published for transformers 4: flat rotary keys, torch_dtype, two shards with an index."""
    tokenizer, ids = byte_bpe.build(byte_bpe.LAYOUT_41, num_merges=NUM_MERGES)
    eos = [ids["<|endoftext|>"], ids["<|user|>"], ids["<|observation|>"], ids["</answer>"]]
    config = {
        "architectures": ["Glm4vForConditionalGeneration"],
        "model_type": "glm4v",
        **token_ids(ids),
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "transformers_version": "4.57.1",
        "text_config": {
            "model_type": "glm4v_text",
            "vocab_size": 384,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "hidden_act": "silu",
            "attention_bias": True,
            "attention_dropout": 0.0,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-05,
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
            "rope_scaling": {"rope_type": "default", "mrope_section": [1, 1, 2]},
            "use_cache": True,
            "pad_token_id": ids["<|endoftext|>"],
            "eos_token_id": eos,
        },
        "vision_config": {
            "model_type": "glm4v_vision",
            "depth": 2,
            "hidden_size": 32,
            "num_heads": 2,
            "in_channels": 3,
            "image_size": 112,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "out_hidden_size": 64,
            "intermediate_size": 80,
            "hidden_act": "silu",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "rms_norm_eps": 1e-05,
        },
    }
    files = {
        "config.json": config,
        "generation_config.json": generation_config(eos, ids),
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": byte_bpe.tokenizer_config(byte_bpe.LAYOUT_41, ids, processor_class="Glm4vProcessor"),
        "chat_template.jinja": (TEMPLATES / "glm41v.jinja").read_text(),
        "preprocessor_config.json": image_processor("Glm4v", 2 * 28 * 28 * 4, 2 * 28 * 28 * 20),
        "video_preprocessor_config.json": video_processor("Glm4v", 2 * 28 * 28 * 4, 2 * 28 * 28 * 40),
    }
    return Spec("glm4v-tiny", 10, "float32", 2, False, files, tuple(eos), "chat")


def glm_ocr_tiny():
    """GLM-OCR as published for transformers 5: rope_parameters, bf16, one file, an MTP layer after the last layer."""
    tokenizer, ids = byte_bpe.build(byte_bpe.LAYOUT_45, byte_bpe.ORDINARY_45, NUM_MERGES)
    eos = [ids["<|endoftext|>"], ids["<|user|>"]]
    config = {
        "architectures": ["GlmOcrForConditionalGeneration"],
        "model_type": "glm_ocr",
        **token_ids(ids),
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
        "transformers_version": "5.18.0",
        "text_config": {
            "model_type": "glm_ocr_text",
            "vocab_size": 384,
            "hidden_size": 48,
            "intermediate_size": 112,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "hidden_act": "silu",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "max_position_embeddings": 4096,
            "num_nextn_predict_layers": 1,
            "rms_norm_eps": 1e-05,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 1.0,
                "mrope_section": [4, 6, 6],
            },
            "use_cache": True,
            "pad_token_id": ids["<|endoftext|>"],
            "eos_token_id": eos,
        },
        "vision_config": {
            "model_type": "glm_ocr_vision",
            "depth": 2,
            "hidden_size": 48,
            "num_heads": 3,
            "in_channels": 3,
            "image_size": 336,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "out_hidden_size": 48,
            "intermediate_size": 80,
            "hidden_act": "silu",
            "attention_bias": True,
            "attention_dropout": 0.0,
            "rms_norm_eps": 1e-05,
        },
    }
    files = {
        "config.json": config,
        "generation_config.json": generation_config(eos, ids),
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": byte_bpe.tokenizer_config(
            byte_bpe.LAYOUT_45, ids, byte_bpe.ORDINARY_45, processor_class="Glm46VProcessor"
        ),
        "chat_template.jinja": (TEMPLATES / "glm45v.jinja").read_text(),
        "preprocessor_config.json": image_processor("Glm46V", 2 * 28 * 28 * 4, 2 * 28 * 28 * 24),
        "video_preprocessor_config.json": video_processor("Glm46V", 2 * 28 * 28 * 4, 2 * 28 * 28 * 40),
    }
    return Spec("glm_ocr-tiny", 18, "bfloat16", 1, True, files, tuple(eos), "two-images")


def glm46v_flash_tiny():
    """GLM-4.6V-Flash: the glm4v architecture with Glm46V processors in one processor_config.json, as transformers 5
    saves it. Tied embeddings, f16 and patches of 16 are there because nothing may take 14 or a separate head for granted."""
    tokenizer, ids = byte_bpe.build(byte_bpe.LAYOUT_45, byte_bpe.ORDINARY_45, NUM_MERGES)
    eos = [ids["<|endoftext|>"], ids["<|user|>"], ids["<|observation|>"]]
    config = {
        "architectures": ["Glm4vForConditionalGeneration"],
        "model_type": "glm4v",
        **token_ids(ids),
        "tie_word_embeddings": True,
        "dtype": "float16",
        "transformers_version": "5.18.0",
        "text_config": {
            "model_type": "glm4v_text",
            "vocab_size": 384,
            "hidden_size": 64,
            "intermediate_size": 80,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "hidden_act": "silu",
            "attention_bias": True,
            "attention_dropout": 0.0,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-05,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5000.0,
                "partial_rotary_factor": 0.5,
                "mrope_section": [2, 3, 3],
            },
            "use_cache": True,
            "pad_token_id": ids["<|endoftext|>"],
            "eos_token_id": eos,
        },
        "vision_config": {
            "model_type": "glm4v_vision",
            "depth": 2,
            "hidden_size": 32,
            "num_heads": 4,
            "in_channels": 3,
            "image_size": 96,
            "patch_size": 16,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "out_hidden_size": 64,
            "intermediate_size": 72,
            "hidden_act": "silu",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "rms_norm_eps": 1e-05,
        },
    }
    image = image_processor("Glm46V", 2 * 32 * 32 * 4, 2 * 32 * 32 * 20, patch_size=16)
    video = video_processor("Glm46V", 2 * 32 * 32 * 4, 2 * 32 * 32 * 40, patch_size=16)
    common = {"do_convert_rgb": True, "do_normalize": True, "do_resize": True, "resample": 3, "rescale_factor": 1 / 255}
    processor_class = image.pop("processor_class")
    del video["processor_class"]
    tokenizer_config = byte_bpe.tokenizer_config(byte_bpe.LAYOUT_45, ids, byte_bpe.ORDINARY_45, processor_class)
    del tokenizer_config["added_tokens_decoder"]
    tokenizer_config["extra_special_tokens"] = tokenizer_config.pop("additional_special_tokens")
    files = {
        "config.json": config,
        "generation_config.json": generation_config(eos, ids),
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": {**tokenizer_config, "tokenizer_class": "TokenizersBackend", "backend": "tokenizers"},
        "chat_template.jinja": (TEMPLATES / "glm45v.jinja").read_text(),
        "processor_config.json": {
            "processor_class": processor_class,
            "image_processor": {**common, **image},
            "video_processor": {**common, "do_sample_frames": True, "fps": 2, "max_duration": 300, **video},
        },
    }
    return Spec("glm46v-flash-tiny", 7, "float16", 1, False, files, tuple(eos), None)


def glm4v_moe_tiny():
    """GLM-4.5V: a dense layer, then layers of 8 experts in 2 groups with a shared one; processors in the Fast spelling."""
    tokenizer, ids = byte_bpe.build(byte_bpe.LAYOUT_45, byte_bpe.ORDINARY_45, NUM_MERGES)
    eos = [ids["<|endoftext|>"], ids["<|user|>"], ids["<|observation|>"]]
    config = {
        "architectures": ["Glm4vMoeForConditionalGeneration"],
        "model_type": "glm4v_moe",
        **token_ids(ids),
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.57.1",
        "text_config": {
            "model_type": "glm4v_moe_text",
            "vocab_size": 384,
            "hidden_size": 48,
            "intermediate_size": 80,
            "moe_intermediate_size": 24,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "hidden_act": "silu",
            "attention_bias": True,
            "attention_dropout": 0.0,
            "n_routed_experts": 8,
            "n_shared_experts": 1,
            "num_experts_per_tok": 3,
            "n_group": 2,
            "topk_group": 1,
            "norm_topk_prob": True,
            "routed_scaling_factor": 1.5,
            "first_k_dense_replace": 1,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-05,
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
            "rope_scaling": {"type": "default", "mrope_section": [2, 3, 3]},
            "use_cache": True,
            "pad_token_id": ids["<|endoftext|>"],
            "eos_token_id": eos,
        },
        "vision_config": {
            "model_type": "glm4v_moe_vision",
            "depth": 2,
            "hidden_size": 32,
            "num_heads": 2,
            "in_channels": 3,
            "image_size": 140,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "out_hidden_size": 48,
            "intermediate_size": 80,
            "hidden_act": "silu",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "rms_norm_eps": 1e-05,
        },
    }
    image = image_processor("Glm4v", 2 * 28 * 28 * 4, 2 * 28 * 28 * 20)
    files = {
        "config.json": config,
        "generation_config.json": generation_config(eos, ids),
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": byte_bpe.tokenizer_config(
            byte_bpe.LAYOUT_45, ids, byte_bpe.ORDINARY_45, processor_class="Glm4vProcessor"
        ),
        "chat_template.jinja": (TEMPLATES / "glm45v.jinja").read_text(),
        "preprocessor_config.json": {**image, "image_processor_type": "Glm4vImageProcessorFast"},
        "video_preprocessor_config.json": video_processor("Glm4v", 2 * 28 * 28 * 4, 2 * 28 * 28 * 40),
    }
    return Spec("glm4v_moe-tiny", 28, "bfloat16", 1, False, files, tuple(eos), "one-image")


def token_ids(ids):
    return {
        "image_token_id": ids["<|image|>"],
        "video_token_id": ids["<|video|>"],
        "image_start_token_id": ids["<|begin_of_image|>"],
        "image_end_token_id": ids["<|end_of_image|>"],
        "video_start_token_id": ids["<|begin_of_video|>"],
        "video_end_token_id": ids["<|end_of_video|>"],
    }


def generation_config(eos, ids):
    """Published files sample by default."""
    return {
        "do_sample": True,
        "eos_token_id": eos,
        "pad_token_id": ids["<|endoftext|>"],
        "temperature": 0.8,
        "top_k": 2,
        "top_p": 0.6,
        "transformers_version": "4.57.1",
    }


def image_processor(kind, shortest, longest, patch_size=14):
    return {
        "size": {"shortest_edge": shortest, "longest_edge": longest},
        "do_rescale": True,
        "patch_size": patch_size,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": MEAN,
        "image_std": STD,
        "image_processor_type": f"{kind}ImageProcessor",
        "processor_class": f"{kind}Processor",
    }


def video_processor(kind, shortest, longest, patch_size=14):
    config = image_processor(kind, shortest, longest, patch_size)
    del config["image_processor_type"]
    return {**config, "video_processor_type": f"{kind}VideoProcessor"}
