"""Golden data for test/mrope: positions, rotary tables and position-table coordinates from Hugging Face transformers.

    pip install -r test/golden/requirements.txt && python test/golden/make_mrope.py

Writes test/golden/data/mrope.json. The random prompts are not stored: test/mrope/positions.test.ts draws the same
ones from the same generator, and compares a checksum a prompt.
"""

import base64
import json
import types
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import Glm4vConfig
from transformers.models.glm4v.modeling_glm4v import Glm4vModel, Glm4vTextRotaryEmbedding, Glm4vVisionRotaryEmbedding
from transformers.vision_utils import get_vision_cu_seqlens, get_vision_position_ids

OUT = Path(__file__).parent / "data" / "mrope.json"
RANDOM_PROMPTS = 3000


class Random:
    """A 32-bit linear congruential generator (Numerical Recipes), mirrored in the test."""

    def __init__(self, seed):
        self.state = seed & 0xFFFFFFFF

    def below(self, bound):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % bound


def random_prompt(seed):
    """(merge, token types, image grids, video grids): text, images and videos in any order, text between pictures."""
    random = Random(seed)
    merge = 1 + random.below(3)
    tokens, images, videos = [], [], []
    tokens += [0] * random.below(6)
    for _ in range(random.below(6)):
        kind = random.below(3)
        if kind == 0:
            tokens += [0] * (1 + random.below(20))
        elif kind == 1:
            h, w = merge * (1 + random.below(7)), merge * (1 + random.below(7))
            images.append([1, h, w])
            tokens += [1] * (h * w // merge**2) + [0] * (1 + random.below(4))
        else:
            t, h, w = 1 + random.below(4), merge * (1 + random.below(5)), merge * (1 + random.below(5))
            videos.append([t, h, w])
            for _ in range(t):
                tokens += [2] * (h * w // merge**2) + [0] * (1 + random.below(5))
    if random.below(4) == 0:
        while tokens and tokens[-1] == 0:
            tokens.pop()  # a prompt that ends in a picture
    if not tokens:
        tokens = [0]
    return merge, tokens, images, videos


def rope_index(merge, tokens, images, videos):
    model = types.SimpleNamespace(
        config=types.SimpleNamespace(vision_config=types.SimpleNamespace(spatial_merge_size=merge))
    )
    model.get_vision_position_ids = lambda *a, **k: Glm4vModel.get_vision_position_ids(model, *a, **k)
    ids = torch.zeros(1, len(tokens), dtype=torch.long)
    positions, delta = Glm4vModel.get_rope_index(
        model,
        ids,
        mm_token_type_ids=torch.tensor([tokens], dtype=torch.int),
        image_grid_thw=torch.tensor(images) if images else None,
        video_grid_thw=torch.tensor(videos) if videos else None,
    )
    return positions[:, 0].to(torch.int32), int(delta)


def checksum(positions, delta):
    return zlib.crc32(positions.contiguous().numpy().tobytes() + np.int32(delta).tobytes())


def f32(tensor):
    return base64.b64encode(tensor.detach().contiguous().float().numpy().tobytes()).decode()


def text_rotary():
    cases = []
    for theta, head_dim, partial, sections in (
        (10000.0, 128, 0.5, [8, 12, 12]),
        (10000.0, 128, 1.0, [16, 24, 24]),
        (500000.0, 16, 1.0, [2, 3, 3]),
        (10000.0, 32, 0.5, [2, 2, 2, 2]),
    ):
        config = Glm4vConfig().text_config
        config.head_dim = head_dim
        config.rope_parameters = {
            "rope_type": "default",
            "rope_theta": theta,
            "partial_rotary_factor": partial,
            "mrope_section": sections,
        }
        rotary = Glm4vTextRotaryEmbedding(config)
        positions = torch.tensor([[0, 1, 7, 4093, 65535], [0, 2, 300, 4100, 65534], [0, 3, 12, 5000, 131071]])
        cos, sin = rotary(torch.zeros(1), positions[:, None])
        cases.append(
            {
                "theta": theta,
                "rotaryDim": int(head_dim * partial),
                "mropeSection": sections,
                "positions": positions.tolist(),
                "cos": f32(cos[0, :, ::2]),
                "sin": f32(sin[0, :, ::2]),
            }
        )
    return cases


def vision():
    cases = []
    for grids, head_dim, merge, side in (
        ([[1, 4, 6]], 64, 2, 24),
        ([[1, 2, 2], [1, 6, 10], [3, 4, 2]], 32, 2, 7),
        ([[2, 24, 24]], 8, 2, 24),
        ([[1, 3, 9]], 16, 3, 16),
    ):
        config = Glm4vConfig().vision_config
        config.hidden_size, config.num_heads = head_dim * 2, 2
        config.num_attention_heads = 2
        rotary = Glm4vVisionRotaryEmbedding(config)
        grid_thw = torch.tensor(grids)
        position_ids = get_vision_position_ids(grid_thw, merge)
        cos, sin = rotary(torch.zeros(1), position_ids)
        # Glm4vVisionEmbeddings.forward, then grid_sample's unnormalise with align_corners=False.
        image = torch.cat([torch.full((t * h * w,), i) for i, (t, h, w) in enumerate(grids)])
        target = grid_thw[image][:, 1:].to(torch.float32)
        norm = ((position_ids + 0.5) / target) * 2 - 1
        coords = ((norm.flip(-1) + 1) * side - 1) / 2
        cases.append(
            {
                "grids": grids,
                "headDim": head_dim,
                "theta": config.rope_parameters["rope_theta"],
                "spatialMergeSize": merge,
                "side": side,
                "cuSeqlens": get_vision_cu_seqlens(grid_thw).tolist(),
                "cos": f32(cos[:, : head_dim // 2]),
                "sin": f32(sin[:, : head_dim // 2]),
                "coords": f32(coords),
            }
        )
    return cases


def main():
    named = []
    for name, merge, tokens, images, videos in (
        ("text only", 2, [0] * 5, [], []),
        ("one image between text", 2, [0, 0] + [1] * 6 + [0, 0, 0], [[1, 4, 6]], []),
        ("a wide video of two frames", 2, [0] + [2] * 3 + [0, 0] + [2] * 3 + [0], [], [[2, 2, 6]]),
        ("image last", 2, [0] + [1] * 8, [[1, 8, 4]], []),
    ):
        positions, delta = rope_index(merge, tokens, images, videos)
        named.append(
            {
                "name": name,
                "spatialMergeSize": merge,
                "mmTokenTypeIds": tokens,
                "imageGridThw": images,
                "videoGridThw": videos,
                "positionIds": positions.tolist(),
                "ropeDelta": delta,
            }
        )
    checksums = [checksum(*rope_index(*random_prompt(seed))) for seed in range(RANDOM_PROMPTS)]
    OUT.write_text(
        json.dumps(
            {
                "madeBy": f"test/golden/make_mrope.py, transformers {transformers.__version__}",
                "named": named,
                "checksums": checksums,
                "textRotary": text_rotary(),
                "vision": vision(),
            }
        )
        + "\n"
    )


main()
