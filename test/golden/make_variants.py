"""Checkpoints as they are found in the wild: the small ones beside this script with other configuration files and other
tensors, and what transformers answers with them (data/variants.json, read by test/checkpoint/variants.test.ts).

A variant is a base checkpoint, the text of its config.json, and edits of its tensors that the test makes too.
"""

import base64
import copy
import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from record import greedy, prefill, recorded_inputs  # noqa: E402

DATA = HERE / "data"
TOKENS = 12
LEAST_MARGIN = 0.01
EMBEDDING, HEAD = "model.language_model.embed_tokens.weight", "lm_head.weight"
DTYPES = {"F64": torch.float64, "F32": torch.float32}


def cast(match, dtype, factor=1.0):
    """Tensors whose name contains `match`, in float64 times `factor`, in another type."""
    return {"op": "cast", "match": match, "dtype": dtype, "factor": factor}


def roll(name, source):
    """`name` is `source` with its rows moved down by one, the last one first."""
    return {"op": "roll", "name": name, "source": source}


def drop(name):
    return {"op": "drop", "name": name}


def add(name, shape):
    """A tensor of ones."""
    return {"op": "add", "name": name, "shape": shape}


def edited(tensors, edits):
    tensors = dict(tensors)
    for edit in edits:
        if edit["op"] == "cast":
            for name in [name for name in tensors if edit["match"] in name]:
                tensors[name] = (tensors[name].double() * edit["factor"]).to(DTYPES[edit["dtype"]])
        elif edit["op"] == "roll":
            tensors[edit["name"]] = tensors[edit["source"]].roll(1, 0).clone()
        elif edit["op"] == "drop":
            del tensors[edit["name"]]
        else:
            tensors[edit["name"]] = torch.ones(edit["shape"])
    return tensors


def flat(config):
    text = config.pop("text_config")
    del text["model_type"]
    config |= text


def tied(where):
    def change(config):
        config.pop("tie_word_embeddings", None)
        owner = config if where == "root" else config["text_config"]
        owner["tie_word_embeddings"] = True

    return change


def rope(beside=None, **values):
    def change(config):
        text = config["text_config"]
        group = text.get("rope_scaling") or text["rope_parameters"]
        group.pop("type", None)
        group |= values
        text |= beside or {}

    return change


def wrapped(config):
    config["architectures"], config["model_type"] = ["Glm46VForConditionalGeneration"], "glm46v"
    tied("text")(config)


def unread(config):
    config["text_config"] |= {"pad_token_id": -1, "initializer_range": float("nan"), "head_dim": None}
    config |= {"some_limit": float("inf"), "other_limit": float("-inf"), "pad_token_id": None}


def yarn(**values):
    return rope(**{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64} | values)


DENSE, OCR, MOE = "glm4v-tiny", "glm_ocr-tiny", "glm4v_moe-tiny"
VARIANTS = [
    ("text keys at the root", DENSE, flat, []),
    ("text keys at the root, GLM-OCR", OCR, flat, []),
    ("text keys at the root, experts", MOE, flat, []),
    ("values that nobody reads", DENSE, unread, []),
    ("tied at the root, a head of its own", DENSE, tied("root"), [roll(HEAD, EMBEDDING)]),
    ("tied in text_config, a head of its own", DENSE, tied("text"), [roll(HEAD, EMBEDDING)]),
    ("tied in text_config of a wrapper, a head of its own", DENSE, wrapped, [roll(HEAD, EMBEDDING)]),
    ("tied, the head alone", DENSE, tied("root"), [drop(EMBEDDING)]),
    ("tied in text_config, the embedding alone", MOE, tied("text"), [drop(HEAD)]),
    ("norms in F64", DENSE, None, [cast("norm", "F64", 1 + 2.0**-40)]),
    ("everything in F64", OCR, None, [cast("", "F64", 1 + 2.0**-40)]),
    ("parts in other types", OCR, None, [cast("q_proj", "F32"), cast("visual", "F64")]),
    ("tensors that nobody knows", DENSE, None, [add("value_head.weight", [3]), add("model.language_model.layers.0.extra", [2, 2])]),
    ("yarn", DENSE, yarn(), []),
    ("yarn, GLM-OCR", OCR, yarn(original_max_position_embeddings=512), []),
    ("yarn, experts", MOE, yarn(factor=2.5), []),
    ("yarn, attention_factor", DENSE, yarn(attention_factor=1.5), []),
    ("yarn, mscale, betas, not truncated", OCR, yarn(mscale=0.7, mscale_all_dim=1.1, beta_fast=8, beta_slow=2, truncate=False), []),
    ("yarn, one mscale alone", DENSE, yarn(mscale=0.7, truncate=None), []),
    ("yarn, the length in text_config", OCR, yarn(beside={"original_max_position_embeddings": 2048}), []),
    ("yarn, no length", OCR, rope(rope_type="yarn", factor=4.0), []),
    ("yarn, factor null", OCR, yarn(factor=None), []),
    ("linear", DENSE, rope(rope_type="linear", factor=3.0), []),
    ("dynamic", DENSE, rope(rope_type="dynamic", factor=4.0), []),
    ("llama3", OCR, rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=128), []),
]


def write(base, config, edits, folder):
    shutil.copytree(DATA / base, folder, ignore=shutil.ignore_patterns("cases", "*.safetensors*"))
    tensors = {}
    for file in sorted((DATA / base).glob("*.safetensors")):
        tensors |= load_file(file)
    save_file(edited(tensors, edits), folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(config)


def base64_of(tensor):
    return base64.b64encode(tensor.detach().numpy().astype("<f4").tobytes()).decode()


def answer(base, folder):
    """What transformers makes of the base's case with one image."""
    model = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    ).eval()
    inputs = recorded_inputs(DATA / base / "cases", "one-image")
    model.model.rope_deltas = None
    logits = prefill(model, inputs).logits[0, -1]
    ids, margins = greedy(model, inputs, TOKENS)
    rotary = model.model.language_model.rotary_emb
    return {
        "greedyIds": ids,
        "margin": round(min(margins), 4),
        "lastLogits": base64_of(logits),
        "inverseFrequencies": base64_of(rotary.inv_freq),
        "attentionScaling": float(rotary.attention_scaling),
    }


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    made, plain = [], {}
    for name, base, change, edits in VARIANTS:
        config = json.loads((DATA / base / "config.json").read_text())
        changed = copy.deepcopy(config)
        if change:
            change(changed)
        text = json.dumps(changed)
        with tempfile.TemporaryDirectory() as folder:
            write(base, text, edits, Path(folder) / "variant")
            result = answer(base, Path(folder) / "variant")
        if result["margin"] < LEAST_MARGIN:
            sys.exit(f"{name}: the tokens are too near to others ({result['margin']})")
        made.append({"name": name, "base": base, "config": text, "edits": edits, **result})
        plain.setdefault(base, json.loads((DATA / base / "cases/one-image.json").read_text())["greedyIds"][:TOKENS])
        print(f"  {name:52} margin {result['margin']:.3f}  as the base: {result['greedyIds'] == plain[base]}")
    lines = ",\n".join(json.dumps(variant) for variant in made)
    (DATA / "variants.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
