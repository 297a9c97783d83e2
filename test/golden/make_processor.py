"""Golden data for test/processor: sizes, resampled bytes, pixel values, sampled frames and placeholder texts from
Hugging Face transformers, torchvision and Pillow.

    pip install -r test/golden/requirements.txt && python test/golden/make_processor.py

Writes test/golden/data/processor.json. Pictures are not stored: the tests draw the same noise from the same formula
(test/processor/noise.ts) and compare CRC-32 checksums of the result's bytes, so equality is bit for bit.
"""

import json
import random
import types
import zlib
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
import transformers
from PIL import Image
from torchvision.transforms.v2 import functional as tvF
from transformers.models.glm4v.image_processing_glm4v import Glm4vImageProcessor, smart_resize
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil
from transformers.models.glm4v.processing_glm4v import Glm4vProcessor
from transformers.models.glm4v.video_processing_glm4v import Glm4vVideoProcessor
from transformers.models.glm46v.image_processing_glm46v import Glm46VImageProcessor
from transformers.models.glm46v.image_processing_glm46v import smart_resize as smart_resize_46
from transformers.models.glm46v.processing_glm46v import Glm46VProcessor
from transformers.models.glm46v.video_processing_glm46v import Glm46VVideoProcessor
from transformers.video_utils import VideoMetadata

OUT = Path(__file__).parent / "data" / "processor.json"
draw = random.Random(20260801)


def noise(seed, height, width):
    """u8 [height, width, 3]: even seeds are noise, odd ones black and white, whose edges overshoot most."""
    index = np.arange(height * width * 3, dtype=np.uint32)
    with np.errstate(over="ignore"):
        mixed = index * np.uint32(2654435761) + np.uint32(seed) * np.uint32(40503)
        mixed ^= mixed >> np.uint32(15)
        mixed *= np.uint32(2246822519)
        mixed ^= mixed >> np.uint32(13)
    values = mixed & np.uint32(255) if seed % 2 == 0 else ((mixed >> np.uint32(8)) & np.uint32(1)) * np.uint32(255)
    return values.astype(np.uint8).reshape(height, width, 3)


def crc(array):
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def smart_resizes():
    rows = []
    while len(rows) < 700:
        longest = draw.choice([30, 300, 3000])
        arguments = dict(
            num_frames=draw.choice([2, 2, 2, 3, 4, 5, 16, 33]),
            height=draw.randint(1, longest),
            width=draw.randint(1, longest),
            temporal_factor=2,
            factor=draw.choice([28, 28, 32, 12]),
            min_pixels=draw.choice([12544, 3136, 1000]),
            max_pixels=draw.choice([9633792, 47040000, 50176, 200704]),
        )
        try:
            size = list(smart_resize(**arguments))
            assert size == list(smart_resize_46(**arguments))
        except ValueError:
            size = None
        rows.append([*arguments.values(), size])
    return rows


def resizes():
    rows = []
    for seed in range(400):
        longest = [40, 160, 400][seed % 3]
        height, width, out_height, out_width = (draw.randint(1, longest) for _ in range(4))
        if seed % 17 == 0:
            out_height = height
        if seed % 19 == 0:
            out_width = width
        rgb = noise(seed, height, width)
        chw = torch.from_numpy(rgb).permute(2, 0, 1).contiguous()
        by_torchvision = tvF.resize(chw, [out_height, out_width], tvF.InterpolationMode.BICUBIC, antialias=True)
        by_pillow = Image.fromarray(rgb).resize((out_width, out_height), Image.BICUBIC)
        rows.append(
            [
                [height, width, out_height, out_width],
                crc(by_torchvision.permute(1, 2, 0).numpy()),
                crc(np.array(by_pillow)),
            ]
        )
    return rows


SIZE = {"shortest_edge": 12544, "longest_edge": 401408}


def images():
    rows = []
    for seed, (height, width) in enumerate(
        [(1, 1), (28, 28), (56, 84), (100, 37), (301, 299), (640, 480), (41, 1200), (333, 90), (700, 999)]
    ):
        rgb = noise(seed, height, width)
        for patch, merge in ((14, 2), (8, 3)):
            options = dict(size=SIZE, patch_size=patch, merge_size=merge, return_tensors="np")
            by_torchvision = Glm4vImageProcessor(**options)(Image.fromarray(rgb))
            newer = Glm46VImageProcessor(**options)(Image.fromarray(rgb))
            by_pillow = Glm4vImageProcessorPil(**options)(Image.fromarray(rgb))
            assert crc(newer["pixel_values"]) == crc(by_torchvision["pixel_values"])
            assert by_pillow["image_grid_thw"].tolist() == by_torchvision["image_grid_thw"].tolist()
            rows.append(
                {
                    "seed": seed,
                    "height": height,
                    "width": width,
                    "patchSize": patch,
                    "mergeSize": merge,
                    "gridThw": by_torchvision["image_grid_thw"][0].tolist(),
                    "torchvision": crc(by_torchvision["pixel_values"].astype(np.float32)),
                    "pillow": crc(by_pillow["pixel_values"].astype(np.float32)),
                }
            )
    return rows


VIDEO_PROCESSORS = {"glm4v": Glm4vVideoProcessor, "glm46v": Glm46VVideoProcessor}
PROCESSORS = {"glm4v": Glm4vProcessor, "glm46v": Glm46VProcessor}


def samples():
    rows = []
    processors = {kind: make() for kind, make in VIDEO_PROCESSORS.items()}
    timings = [(1, 30.0, None), (1, 30.0, 0.03), (2, 25, 0.08), (3, 1, 3.0), (7, 2.5, None), (9000, 30, 300.0)]
    timings += [(9001, 30, 300.1), (60, 0.1, 600), (120000, 25, 4800.0), (50, 24, 0), (31, 10, 3.1), (599, 1, 700.0)]
    for _ in range(300):
        fps = draw.choice([1, 5, 10, 12.5, 23.976, 24, 25, 29.97, 30, 60])
        frames = draw.choice([draw.randint(1, 50), draw.randint(1, 1500), draw.randint(1, 80000)])
        timings.append((frames, fps, draw.choice([None, frames / fps, round(frames / fps, 2)])))
    for frames, fps, duration in timings:
        for kind, requested in (("glm4v", None), ("glm4v", draw.choice([0.5, 1, 3, 4.7])), ("glm46v", None)):
            metadata = VideoMetadata(total_num_frames=frames, fps=fps, duration=duration)
            indices = processors[kind].sample_frames(metadata, fps=requested)
            text = video_text(kind, indices.tolist(), fps, [max(len(indices) // 2, 1), 2, 2]) if len(indices) else ""
            rows.append([kind, frames, fps, duration, requested, len(indices), crc(indices.astype(np.int32)),
                         zlib.crc32(text.encode())])
    return rows


def fake_processor(kind):
    """What the text methods of a processor read of it, without a tokenizer."""
    fake = types.SimpleNamespace(
        image_token="<|image|>",
        video_token="<|video|>",
        all_special_multimodal_tokens=["<|image|>", "<|video|>"],
        image_processor=types.SimpleNamespace(merge_size=2),
        video_processor=types.SimpleNamespace(merge_size=2),
        image_token_id=5,
        video_start_id=8,
        video_end_id=9,
    )
    fake.replace_frame_token_id = lambda *a, **k: PROCESSORS[kind].replace_frame_token_id(fake, *a, **k)
    return fake


def video_text(kind, indices, fps, grid):
    metadata = VideoMetadata(total_num_frames=len(indices), fps=fps, frames_indices=indices)
    inputs = {"video_grid_thw": np.array([grid]), "video_metadata": [metadata]}
    return PROCESSORS[kind].replace_video_token(fake_processor(kind), inputs, 0)


def placeholders():
    rows = []
    prompt = "a<|image|>b<|video|>\n<|begin_of_image|><|image|><|end_of_image|>c<|video|>"
    image_grids = [[1, 4, 6], [1, 2, 2]]
    for kind in PROCESSORS:
        for videos in (
            [([0, 7, 15, 22], 10, [2, 2, 4]), ([0, 0], None, [1, 4, 4])],
            [([0, 1, 2, 3, 4, 5], 4, [3, 2, 2]), ([0, 15, 30, 31], 20, [2, 2, 2])],
            [([3, 3], 2.5, [3, 2, 2]), ([0, 2, 4, 6, 8, 8], 8, [2, 2, 2])],
        ):
            fake = fake_processor(kind)
            images = [
                PROCESSORS[kind].replace_image_token(fake, {"image_grid_thw": np.array(image_grids)}, i)
                for i in range(len(image_grids))
            ]
            texts = [video_text(kind, *video) for video in videos]
            expanded, _ = PROCESSORS[kind].get_text_with_replacements(fake, [prompt], images, texts, [])
            rows.append(
                {
                    "kind": kind,
                    "prompt": prompt,
                    "imageGridThw": image_grids,
                    "videos": [dict(indices=i, fps=f, gridThw=g) for i, f, g in videos],
                    "expanded": expanded[0],
                }
            )
    return rows


def token_types():
    rows = []
    for _ in range(40):
        ids = [draw.choice([1, 2, 5, 5, 8, 9]) for _ in range(draw.randint(1, 30))]
        rows.append([ids, Glm4vProcessor.create_mm_token_type_ids(fake_processor("glm4v"), [ids])[0]])
    return rows


def videos():
    rows = []
    for kind, make in VIDEO_PROCESSORS.items():
        for seed, (frames, height, width, fps, sample) in enumerate(
            [(5, 60, 90, 2, True), (1, 40, 40, 1, True), (24, 64, 48, 12, True), (3, 33, 81, 1, False), (4, 100, 30, None, False)]
        ):
            video = np.stack([noise(seed + 10 * i, height, width) for i in range(frames)])
            metadata = VideoMetadata(
                total_num_frames=frames, fps=fps, duration=frames / fps if fps else None, frames_indices=list(range(frames))
            )
            result = make(size=SIZE)(
                videos=[video], video_metadata=[metadata], do_sample_frames=sample, return_metadata=True, return_tensors="np"
            )
            indices = [int(i) for i in result["video_metadata"][0].frames_indices]
            rows.append(
                {
                    "kind": kind,
                    "seed": seed,
                    "frames": frames,
                    "height": height,
                    "width": width,
                    "fps": fps,
                    "sample": sample,
                    "indices": indices,
                    "gridThw": result["video_grid_thw"][0].tolist(),
                    "pixelValues": crc(result["pixel_values_videos"].astype(np.float32)),
                }
            )
    return rows


def main():
    versions = {m.__name__: m.__version__ for m in (transformers, torch, torchvision, PIL)}
    parts = [smart_resizes, resizes, images, samples, placeholders, token_types, videos]
    data = {"madeBy": f"test/golden/make_processor.py, {versions}"} | {part.__name__: part() for part in parts}
    OUT.write_text(json.dumps(data, separators=(",", ":")) + "\n")


main()
