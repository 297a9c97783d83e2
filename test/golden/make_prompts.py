"""Prompts with tools, system messages, thinking, continued turns and videos by request, as transformers' processors
make them for the golden checkpoints.

    pip install -r test/golden/requirements.txt && python test/golden/make_prompts.py

Writes test/golden/data/prompts.json. Run make.py first: it makes the checkpoints and the media.
"""

import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from transformers import AutoProcessor

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look_up",
            "description": "Finds a \"thing\" by its name.",
            "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        },
    }
]
PICTURE = {"type": "image", "image": "images/sign.png"}
ASK = [
    {"role": "system", "content": "Answer in one word."},
    {"role": "user", "content": [PICTURE, {"type": "text", "text": "What is this?"}]},
]
CALLED = [
    *ASK,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"type": "function", "function": {"name": "look_up", "arguments": {"name": "sign"}}}],
    },
    {"role": "tool", "content": "a sign", "tool_call_id": "1"},
    {"role": "user", "content": "So?"},
]
THOUGHT = [
    *ASK,
    {"role": "assistant", "content": "It is a sign.", "reasoning_content": "Letters on a board."},
    {"role": "user", "content": "And now?"},
]
CUT_OFF = [*ASK, {"role": "assistant", "content": [{"type": "text", "text": "A yellow"}]}]


def filmed(*names):
    videos = [{"type": "video", "video": f"videos/{name}"} for name in names]
    return [{"role": "user", "content": [*videos, {"type": "text", "text": "What happens?"}]}]


# name, checkpoint, template instead of the checkpoint's own, messages, arguments of the template, of the video processor
CASES = [
    ("system and picture", "glm4v-tiny", None, ASK, {}, {}),
    ("tools", "glm46v-flash-tiny", "tools.jinja", ASK, {"tools": TOOLS}, {}),
    ("tool call and answer", "glm46v-flash-tiny", "tools.jinja", CALLED, {"tools": TOOLS}, {}),
    ("thinking by default", "glm46v-flash-tiny", None, ASK, {}, {}),
    ("thinking on", "glm46v-flash-tiny", None, THOUGHT, {"enable_thinking": True}, {}),
    ("thinking off", "glm46v-flash-tiny", None, THOUGHT, {"enable_thinking": False}, {}),
    ("thinking off in OCR", "glm_ocr-tiny", None, ASK, {"enable_thinking": False}, {}),
    ("continued turn", "glm4v-tiny", None, CUT_OFF, {"continue_final_message": True}, {}),
    ("variable of the template", "glm4v_moe-tiny", None, ASK, {"enable_thinking": False}, {}),
    ("sampled at 1 a second", "glm4v-tiny", None, filmed("walk"), {}, {"fps": 1}),
    ("sampled at 4 a second", "glm4v-tiny", None, filmed("walk", "turn"), {}, {"fps": 4}),
    ("all frames", "glm4v-tiny", None, filmed("walk"), {}, {"do_sample_frames": False}),
    ("all frames for 4.6V", "glm46v-flash-tiny", None, filmed("odd"), {}, {"do_sample_frames": False}),
]


def paths(messages, kind):
    lists = [message["content"] for message in messages if isinstance(message["content"], list)]
    return [DATA / part[kind] for parts in lists for part in parts if part["type"] == kind]


def open_video(folder):
    frames = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]
    return np.stack(frames), json.loads((folder / "metadata.json").read_text())


def record(name, checkpoint, template, messages, template_arguments, video_arguments):
    processor = AutoProcessor.from_pretrained(DATA / checkpoint)
    chat_template = None if template is None else (HERE / "templates" / template).read_text()
    prompt = processor.apply_chat_template(
        messages,
        chat_template=chat_template,
        tokenize=False,
        add_generation_prompt=not template_arguments.get("continue_final_message", False),
        **template_arguments,
    )
    media = {}
    if images := paths(messages, "image"):
        media["images"] = [Image.open(path) for path in images]
    if videos := paths(messages, "video"):
        media["videos"], media["video_metadata"] = map(list, zip(*map(open_video, videos)))
        media |= video_arguments
        if video_arguments.get("do_sample_frames") is False:
            # Without sampling transformers wants to be told which frames these are.
            for frames, metadata in zip(media["videos"], media["video_metadata"]):
                metadata["frames_indices"] = list(range(len(frames)))
    inputs = processor(text=[prompt], return_tensors="pt", **media)
    pixels = {key: zlib.crc32(inputs[key].numpy().tobytes()) for key in ("pixel_values", "pixel_values_videos") if key in inputs}
    return {
        "name": name,
        "checkpoint": checkpoint,
        "template": template,
        "messages": messages,
        "templateArguments": template_arguments,
        "videoArguments": video_arguments,
        "promptText": prompt,
        "inputIds": inputs["input_ids"][0].tolist(),
        "mmTokenTypeIds": inputs["mm_token_type_ids"][0].tolist(),
        "imageGridThw": inputs["image_grid_thw"].tolist() if "image_grid_thw" in inputs else [],
        "videoGridThw": inputs["video_grid_thw"].tolist() if "video_grid_thw" in inputs else [],
        "pixelValues": pixels.get("pixel_values"),
        "pixelValuesVideos": pixels.get("pixel_values_videos"),
    }


def main():
    lines = [json.dumps(record(*case), ensure_ascii=False) for case in CASES]
    (DATA / "prompts.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(f"{len(lines)} prompts")


if __name__ == "__main__":
    main()
