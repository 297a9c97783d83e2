"""Video pruning (EVS, efficient video sampling) as vLLM describes it, written out directly: features of the golden
checkpoints' videos, which of them are kept, the rows and positions of the pruned prompt, and what transformers' language
model answers when it is given the embeddings of these rows at these positions.

    pip install -r test/golden/requirements.txt && python test/golden/make_evs.py

Writes test/golden/data/evs.json. Run make.py first: it makes the checkpoints and the media.
"""

import base64
import json
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from make_mixed import image, paths, text, video
from record import open_video

DATA = Path(__file__).resolve().parent / "data"
CHECKPOINTS = ["glm4v-tiny", "glm46v-flash-tiny", "glm4v_moe-tiny", "glm_ocr-tiny"]
STEPS = 12
# A correct engine's float32 features move no similarity by more than a hundredth of this, and no logit by a tenth of that.
LEAST_GAP = 1e-4
LEAST_MARGIN = 0.02
# The first with which every token of the answer leads by the margin is asked.
QUESTIONS = ["What happens?", "Where does it go?", "Describe it.", "Which is the longest?", "Why?", "Who is there?", "And then?"]

# name, pruning rate, content in front of the question
CASES = [
    ("half", 0.5, [video("walk")]),
    ("most", 0.8, [video("walk")]),
    ("first frame", 0.95, [video("odd")]),
    (
        "among images",
        0.6,
        [
            text("First "),
            video("turn"),
            image("small.png"),
            text(" then "),
            video("walk"),
            image("sign.png"),
        ],
    ),
]


def retained(tokens_per_frame, frames, rate):
    return max(tokens_per_frame, int(tokens_per_frame * frames * (1 - rate)))


def kept_features(features, frames, height, width, rate):
    """Which of [frames * height * width, hidden] are kept, and how far the last of them is from the first that is not."""
    grid = features.view(frames, height, width, -1)
    similarity = torch.nn.functional.cosine_similarity(grid[1:], grid[:-1], dim=-1)
    dissimilarity = torch.cat([torch.full((1, height, width), 255.0), 1 - similarity]).flatten()
    order = torch.argsort(dissimilarity, descending=True, stable=True)
    count = retained(height * width, frames, rate)
    mask = torch.zeros(len(order), dtype=torch.bool)
    mask[order[:count]] = True
    gap = dissimilarity[order[count - 1]] - dissimilarity[order[count]] if count < len(order) else torch.tensor(2.0)
    return mask, float(gap)


def processed(processor, messages, content):
    prompt = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    frames, metadata = map(list, zip(*(open_video(path) for path in paths(content, "video"))))
    pictures = [Image.open(path) for path in paths(content, "image")]
    media = {"images": pictures} if pictures else {}
    # All frames as they are, so that there are enough; transformers wants to be told which these are.
    for video, about in zip(frames, metadata):
        about["frames_indices"] = list(range(len(video)))
    return processor(
        text=[prompt], videos=frames, video_metadata=metadata, do_sample_frames=False, return_tensors="pt", **media
    )


@torch.no_grad()
def answered(model, embeddings, positions, following):
    """Logits behind the prompt, the greedy answer, and its margins; the whole is computed anew for each token."""
    chosen, margins, logits = [], [], None
    for step in range(STEPS):
        hidden = model.model.language_model(inputs_embeds=embeddings, position_ids=positions, use_cache=False)
        last = model.lm_head(hidden.last_hidden_state[0, -1])
        logits = last if logits is None else logits
        best = torch.topk(last, 2)
        chosen.append(int(best.indices[0]))
        margins.append(round(float(best.values[0] - best.values[1]), 4))
        embeddings = torch.cat([embeddings, model.get_input_embeddings()(torch.tensor([[chosen[-1]]]))], 1)
        positions = torch.cat([positions, torch.full((3, 1, 1), following + step)], 2)
    return logits, chosen, margins


@torch.no_grad()
def record(model, processor, name, rate, content):
    messages = [{"role": "user", "content": content}]
    inputs = processed(processor, messages, content)
    ids, types = inputs["input_ids"], inputs["mm_token_type_ids"]
    images, videos = inputs.get("image_grid_thw"), inputs["video_grid_thw"]
    positions, _ = model.model.get_rope_index(ids, types, images, videos, inputs["attention_mask"])
    embeddings = model.get_input_embeddings()(ids)
    if images is not None:
        pictures = model.get_image_features(inputs["pixel_values"], images).pooler_output
        embeddings[types == 1] = torch.cat(list(pictures))
    features = list(model.get_video_features(inputs["pixel_values_videos"], videos).pooler_output)
    embeddings[types == 2] = torch.cat(features)

    merge = model.config.vision_config.spatial_merge_size
    rows = torch.ones(ids.shape[1], dtype=torch.bool)
    masks = []
    for (t, h, w), values in zip(videos.tolist(), features):
        mask, gap = kept_features(values, t, h // merge, w // merge, rate)
        assert gap > LEAST_GAP, (name, rate, gap)
        masks.append(mask)
    rows[(types == 2)[0]] = torch.cat(masks)
    kept_positions = positions[:, :, rows]
    following = int(positions.max()) + 1
    logits, chosen, margins = answered(model, embeddings[:, rows], kept_positions, following)
    whole, _, _ = answered(model, embeddings, positions, following)
    closed_up, _, _ = answered(
        model, embeddings[:, rows], torch.arange(int(rows.sum())).expand(3, 1, -1), int(rows.sum())
    )
    assert min(float((logits - other).abs().max()) for other in (whole, closed_up)) > 0.02, name
    top = torch.topk(logits, 10)
    first = features[0].numpy().astype("<f4")
    return {
        "name": name,
        "messages": messages,
        "videoPruning": rate,
        "videoGridThw": videos.tolist(),
        "kept": ["".join("01"[int(flag)] for flag in mask) for mask in masks],
        "features": base64.b64encode(first.tobytes()).decode() if name == "half" else None,
        "promptTokens": ids.shape[1],
        "inputIds": ids[0, rows].tolist(),
        "positionIds": kept_positions[:, 0].tolist(),
        "ropeDelta": following - int(rows.sum()),
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
        for name, rate, content in CASES:
            asked = (record(model, processor, name, rate, [*content, text(words)]) for words in QUESTIONS)
            found = next(found for found in asked if min(found["greedyMargins"]) >= LEAST_MARGIN)
            rows = f"{len(found['inputIds'])} of {found['promptTokens']} rows"
            print(f"{checkpoint} {name}: {rows}, least margin {min(found['greedyMargins'])}")
            lines.append(json.dumps({"checkpoint": checkpoint, **found}, ensure_ascii=False))
    (DATA / "evs.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
