"""Runs one case through transformers and writes down every stage of it."""

import gzip
import hashlib
import json

import numpy as np
import torch
from PIL import Image

from cases import MAX_NEW_TOKENS

FORMAT_VERSION = 1


def media_paths(messages, kind):
    return [
        part[kind]
        for message in messages
        if not isinstance(message["content"], str)
        for part in message["content"]
        if part["type"] == kind
    ]


def open_video(folder):
    """(frames as uint8 [T, H, W, 3], metadata)."""
    frames = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]
    return np.stack(frames), json.loads((folder / "metadata.json").read_text())


def process(processor, case, data):
    """(promptText, the processor's tensors, the frames taken of each video)."""
    prompt = processor.apply_chat_template(
        case.messages, tokenize=False, add_generation_prompt=True, **case.template_options
    )
    media = {}
    if images := media_paths(case.messages, "image"):
        media["images"] = [Image.open(data / path) for path in images]
    if videos := media_paths(case.messages, "video"):
        media["videos"], media["video_metadata"] = map(list, zip(*(open_video(data / path) for path in videos)))
        media["return_metadata"] = True
    inputs = processor(text=[prompt], return_tensors="pt", **media)
    metadata = inputs.pop("video_metadata", [])
    return prompt, inputs, [[int(index) for index in video.frames_indices] for video in metadata]


def recorded_inputs(folder, name):
    """The inputs of a case, as `folder` has them recorded."""
    entry = json.loads((folder / f"{name}.json").read_text())
    ids = torch.tensor([entry["inputIds"]])
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": torch.tensor([entry["mmTokenTypeIds"]]),
    }
    blob = gzip.decompress((folder / f"{name}.bin.gz").read_bytes())
    for kind, pixels, suffix in (("image", "pixelValues", ""), ("video", "pixelValuesVideos", "_videos")):
        if array := entry["arrays"].get(pixels):
            count = array["shape"][0] * array["shape"][1]
            values = np.frombuffer(blob, "<f4", count, array["byteOffset"]).reshape(array["shape"])
            inputs[f"pixel_values{suffix}"] = torch.from_numpy(values.copy())
            inputs[f"{kind}_grid_thw"] = torch.tensor(entry[f"{kind}GridThw"])
    return inputs


@torch.no_grad()
def prefill(model, inputs, **changes):
    """Logits of the last position and the cache after the prompt."""
    return model(**{**inputs, **changes}, use_cache=True, logits_to_keep=1)


@torch.no_grad()
def greedy(model, inputs, steps):
    """`steps` argmax tokens without regard to eos, and the margin of each over the runner-up."""
    model.model.rope_deltas = None
    output = prefill(model, inputs)
    length, delta = inputs["input_ids"].shape[1], model.model.rope_deltas
    delta = 0 if delta is None else int(delta)
    ids, margins, logits = [], [], output.logits[0, -1]
    for step in range(steps):
        best = torch.topk(logits, 2).values
        margins.append(float(best[0] - best[1]))
        ids.append(int(logits.argmax()))
        position = torch.full((3, 1, 1), length + step + delta)
        output = model(
            input_ids=torch.tensor([[ids[-1]]]),
            position_ids=position,
            past_key_values=output.past_key_values,
            use_cache=True,
        )
        logits = output.logits[0, -1]
    return ids, margins


@torch.no_grad()
def generated_by_transformers(model, inputs, eos):
    """The ids of model.generate, as a check of `greedy`."""
    model.model.rope_deltas = None
    output = model.generate(
        **inputs, do_sample=False, max_new_tokens=MAX_NEW_TOKENS, eos_token_id=list(eos), pad_token_id=eos[0]
    )
    return output[0, inputs["input_ids"].shape[1] :].tolist()


@torch.no_grad()
def vision_embeddings(model, inputs):
    """The merger's rows, images first, or None."""
    rows = []
    if "pixel_values" in inputs:
        rows += model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output
    if "pixel_values_videos" in inputs:
        rows += model.get_video_features(inputs["pixel_values_videos"], inputs["video_grid_thw"]).pooler_output
    return torch.cat(list(rows)) if rows else None


@torch.no_grad()
def positions(model, inputs):
    """(3 x T positions, delta); text alone counts up on all three axes."""
    if "image_grid_thw" not in inputs and "video_grid_thw" not in inputs:
        count = inputs["input_ids"].shape[1]
        return torch.arange(count).expand(3, count), 0
    ids, delta = model.model.get_rope_index(
        inputs["input_ids"],
        inputs["mm_token_type_ids"],
        inputs.get("image_grid_thw"),
        inputs.get("video_grid_thw"),
        inputs["attention_mask"],
    )
    return ids[:, 0], int(delta)


class Blob:
    """Arrays one after another in one gzip file, described in the case's JSON."""

    def __init__(self):
        self.bytes, self.arrays = bytearray(), {}

    def add(self, name, tensor):
        array = np.ascontiguousarray(tensor.detach().numpy(), dtype="<f4")
        assert np.isfinite(array).all(), name
        self.arrays[name] = {
            "dtype": "f32",
            "shape": list(array.shape),
            "byteOffset": len(self.bytes),
            "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        }
        self.bytes += array.tobytes()

    def write(self, path):
        path.write_bytes(gzip.compress(bytes(self.bytes), 9, mtime=0))


def record(spec, case, model, processor, pillow_processor, data, folder):
    """Writes cases/<case>.json and .bin.gz; returns what the summary and the checks need."""
    prompt, inputs, frames = process(processor, case, data)
    position_ids, delta = positions(model, inputs)
    model.model.rope_deltas = None
    logits = prefill(model, inputs).logits[0, -1]
    ids, margins = greedy(model, inputs, MAX_NEW_TOKENS)
    stop = next((index for index, token in enumerate(ids) if token in spec.eos), None)
    kept = ids if stop is None else ids[: stop + 1]
    assert generated_by_transformers(model, inputs, spec.eos) == kept, (spec.name, case.name)

    blob = Blob()
    blob.add("lastLogits", logits)
    embeddings = vision_embeddings(model, inputs)
    if embeddings is not None:
        blob.add("visionEmbeddings", embeddings)
    for name, key in (("pixelValues", "pixel_values"), ("pixelValuesVideos", "pixel_values_videos")):
        if key in inputs:
            blob.add(name, inputs[key])
    pillow = None
    if "pixel_values" in inputs:
        opened = [Image.open(data / path) for path in media_paths(case.messages, "image")]
        pillow_inputs = pillow_processor(images=opened, return_tensors="pt")
        assert torch.equal(pillow_inputs["image_grid_thw"], inputs["image_grid_thw"])
        pixels = pillow_inputs["pixel_values"].numpy().astype("<f4")
        pillow = hashlib.sha256(pixels.tobytes()).hexdigest()
        if case.pillow_pixels:
            blob.add("pixelValuesPillow", pillow_inputs["pixel_values"])

    entry = {
        "version": FORMAT_VERSION,
        "checkpoint": spec.name,
        "case": case.name,
        "messages": case.messages,
        "templateOptions": case.template_options,
        "promptText": prompt,
        "inputIds": inputs["input_ids"][0].tolist(),
        "mmTokenTypeIds": inputs["mm_token_type_ids"][0].tolist(),
        "imageGridThw": inputs["image_grid_thw"].tolist() if "image_grid_thw" in inputs else [],
        "videoGridThw": inputs["video_grid_thw"].tolist() if "video_grid_thw" in inputs else [],
        "videoFrameIndices": frames,
        "positionIds": position_ids.tolist(),
        "ropeDelta": delta,
        "greedyIds": ids,
        "greedyMargins": [round(margin, 4) for margin in margins],
        "tokenIds": kept,
        "finishReason": "length" if stop is None else "stop",
        "text": processor.decode(kept, skip_special_tokens=True),
        "pillowPixelsSha256": pillow,
        "arrays": blob.arrays,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{case.name}.json").write_text(_readable(entry))
    blob.write(folder / f"{case.name}.bin.gz")
    return {"entry": entry, "inputs": inputs, "logits": logits, "margins": margins}


def _readable(entry):
    """JSON with one line for each key, arrays of numbers not broken up."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
