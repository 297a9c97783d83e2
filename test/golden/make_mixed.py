"""Images and videos in one prompt. transformers 5.18 refuses that (its mask of image tokens counts those of videos), so
its parts are put together here: its processor, its vision tower for images and for videos, features scattered by
token type, its positions, its language model.

    pip install -r test/golden/requirements.txt && python test/golden/make_mixed.py

Writes test/golden/data/mixed.json. Run make.py first: it makes the checkpoints and the media.
"""

import json
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from record import open_video

DATA = Path(__file__).resolve().parent / "data"
CHECKPOINTS = ["glm4v-tiny", "glm46v-flash-tiny", "glm4v_moe-tiny"]
STEPS = 12


def text(words):
    return {"type": "text", "text": words}


def image(name):
    return {"type": "image", "image": f"images/{name}"}


def video(name):
    return {"type": "video", "video": f"videos/{name}"}


CASES = {
    "image-then-video": [image("sign.png"), video("odd"), text("What do both show?")],
    "interleaved": [
        text("First "),
        video("walk"),
        text(" then "),
        image("small.png"),
        image("tall.png"),
        video("turn"),
        text(" and "),
        image("sign.png"),
        text("Which is the longest?"),
    ],
}


def paths(content, kind):
    return [DATA / part[kind] for part in content if part["type"] == kind]


@torch.no_grad()
def record(model, processor, content):
    messages = [{"role": "user", "content": content}]
    prompt = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    frames, metadata = map(list, zip(*(open_video(path) for path in paths(content, "video"))))
    pictures = [Image.open(path) for path in paths(content, "image")]
    inputs = processor(
        text=[prompt], images=pictures, videos=frames, video_metadata=metadata, return_tensors="pt"
    )
    ids, types = inputs["input_ids"], inputs["mm_token_type_ids"]
    positions, delta = model.model.get_rope_index(
        ids, types, inputs["image_grid_thw"], inputs["video_grid_thw"], inputs["attention_mask"]
    )
    embeddings = model.get_input_embeddings()(ids)
    for token_type, features in (
        (1, model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])),
        (2, model.get_video_features(inputs["pixel_values_videos"], inputs["video_grid_thw"])),
    ):
        embeddings[types == token_type] = torch.cat(list(features.pooler_output))

    chosen, margins, logits = [], [], None
    for step in range(STEPS):
        hidden = model.model.language_model(inputs_embeds=embeddings, position_ids=positions, use_cache=False)
        last = model.lm_head(hidden.last_hidden_state[0, -1])
        logits = last if logits is None else logits
        best = torch.topk(last, 2)
        chosen.append(int(best.indices[0]))
        margins.append(round(float(best.values[0] - best.values[1]), 4))
        following = ids.shape[1] + step + int(delta)
        embeddings = torch.cat([embeddings, model.get_input_embeddings()(torch.tensor([[chosen[-1]]]))], 1)
        positions = torch.cat([positions, torch.full((3, 1, 1), following)], 2)
    top = torch.topk(logits, 10)
    return {
        "messages": messages,
        "promptText": prompt,
        "inputIds": ids[0].tolist(),
        "mmTokenTypeIds": types[0].tolist(),
        "imageGridThw": inputs["image_grid_thw"].tolist(),
        "videoGridThw": inputs["video_grid_thw"].tolist(),
        "positionIds": positions[:, 0, : ids.shape[1]].tolist(),
        "ropeDelta": int(delta),
        "topLogits": [[int(token), round(float(logit), 5)] for logit, token in zip(top.values, top.indices)],
        "greedyIds": chosen,
        "greedyMargins": margins,
    }


def main():
    torch.set_num_threads(1)
    lines = []
    for checkpoint in CHECKPOINTS:
        folder = DATA / checkpoint
        model = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
        ).eval()
        processor = AutoProcessor.from_pretrained(folder)
        for name, content in CASES.items():
            found = record(model, processor, content)
            print(f"{checkpoint} {name}: {len(found['inputIds'])} tokens, least margin {min(found['greedyMargins'])}")
            lines.append(json.dumps({"checkpoint": checkpoint, "name": name, **found}, ensure_ascii=False))
    (DATA / "mixed.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
