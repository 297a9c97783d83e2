"""Golden data for test/runtime/adapters.test.ts: LoRA adapters as PEFT saves them, and what PEFT makes of them.

    pip install -r test/golden/requirements.txt && python test/golden/make_lora.py

Writes test/golden/data/lora/<checkpoint>/<adapter>/, as `save_pretrained` does, and expected.json beside them: for sets
of adapters the last logits and 24 greedy tokens of conversations that are in test/golden/data/<checkpoint>/cases.
"""

import base64
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from cases import MAX_NEW_TOKENS
from record import greedy, prefill

DATA = Path(__file__).parent / "data"
FORMAT_VERSION = 1
CASES = ["text", "one-image"]
LEAST_MARGIN = 0.05
LEAST_EFFECT = 0.1

ADAPTERS = {
    # All linears of the language model.
    "language": dict(
        r=4, lora_alpha=8, target_modules=r"model\.language_model\..*\.(q|k|v|o|gate_up|down)_proj"
    ),
    # Tower and connector with their convolutions; one module has a rank of its own.
    "vision": dict(
        r=3,
        lora_alpha=5,
        target_modules=r"model\.visual\..*(qkv|proj|downsample)",
        rank_pattern={"merger.proj": 2},
    ),
    # Some of everything, scaled by the root of the rank.
    "both": dict(
        r=2,
        lora_alpha=3,
        use_rslora=True,
        target_modules=["q_proj", "down_proj", "merger.gate_proj", "lm_head"],
        rank_pattern={r"layers\.0\.self_attn\.q_proj": 5},
        alpha_pattern={"merger.gate_proj": 4, "lm_head": 1},
    ),
    # Without names that experts have too: those are parameters to PEFT, which glimt does not adapt.
    "attention": dict(r=4, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "qkv", "downsample"]),
}
DENSE = ("language", "vision", "both")
STORED = {"language": torch.float32, "vision": torch.bfloat16, "both": torch.float16, "attention": torch.float32}
SETS = [
    {"language": 1},
    {"vision": 1},
    {"both": 1},
    {"language": 1, "both": 1},
    {"language": 0.5, "vision": 2, "both": 1},
    {"attention": 1},
]
# The adapters of each checkpoint, and the first seed with which every run is fit to test against (`fit`).
CHECKPOINTS = {
    "glm4v-tiny": (32, DENSE),
    "glm_ocr-tiny": (23, DENSE),
    "glm46v-flash-tiny": (21, DENSE),
    "glm4v_moe-tiny": (6, ("attention",)),
}


def base_model(checkpoint):
    return AutoModelForImageTextToText.from_pretrained(
        DATA / checkpoint, dtype=torch.float32, attn_implementation="eager"
    ).eval()


def make_adapter(checkpoint, name, seed, folder):
    """Saves an adapter with random matrices of an effect that shows."""
    model = get_peft_model(base_model(checkpoint), LoraConfig(**ADAPTERS[name]), adapter_name=name)
    model.peft_config[name].base_model_name_or_path = checkpoint
    random = np.random.default_rng([seed, list(ADAPTERS).index(name)])
    for parameter, value in model.named_parameters():
        if ".lora_" in parameter:
            fan_in = np.prod(value.shape[1:])
            size = 1 / np.sqrt(fan_in) if ".lora_A." in parameter else 0.06
            value.data = torch.from_numpy(random.normal(0, size, value.shape).astype(np.float32))
    # By default PEFT stores a copy of a head that it adapts; both kinds of file are about.
    model.save_pretrained(
        folder, selected_adapters=[name], save_embedding_layers="auto" if checkpoint == "glm_ocr-tiny" else False
    )
    (folder / "README.md").unlink(missing_ok=True)
    (folder / name / "README.md").unlink(missing_ok=True)
    file = folder / name / "adapter_model.safetensors"
    tensors = load_file(file)
    stored = {key: value.to(STORED[name]) if ".lora_" in key else value for key, value in tensors.items()}
    save_file(stored, file, {"format": "pt"})
    config = folder / name / "adapter_config.json"
    fields = json.loads(config.read_text())
    if isinstance(fields["target_modules"], list):  # a set to PEFT: its order is chance
        fields["target_modules"].sort()
    config.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")


def adapted(checkpoint, names, folder):
    """The checkpoint with the adapters, read from their files."""
    model = None
    for name in names:
        if model is None:
            model = PeftModel.from_pretrained(base_model(checkpoint), folder / name, adapter_name=name)
        else:
            model.load_adapter(folder / name, adapter_name=name)
    return model.eval()


def activate(model, scales):
    model.base_model.set_adapter(list(scales))
    for module in model.modules():
        for name, scale in scales.items():
            if isinstance(module, LoraLayer) and name in module.scaling:
                module.set_scale(name, scale)


def recorded_inputs(checkpoint, case):
    folder = DATA / checkpoint / "cases"
    entry = json.loads((folder / f"{case}.json").read_text())
    blob = gzip.decompress((folder / f"{case}.bin.gz").read_bytes())
    ids = torch.tensor([entry["inputIds"]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    inputs["mm_token_type_ids"] = torch.tensor([entry["mmTokenTypeIds"]])
    if "pixelValues" in entry["arrays"]:
        array = entry["arrays"]["pixelValues"]
        values = np.frombuffer(blob, "<f4", int(np.prod(array["shape"])), array["byteOffset"])
        inputs["pixel_values"] = torch.from_numpy(values.reshape(array["shape"]).copy())
        inputs["image_grid_thw"] = torch.tensor(entry["imageGridThw"])
    return inputs


def run(model, checkpoint, case, scales):
    inputs = recorded_inputs(checkpoint, case)
    plain = model.base_model.model
    with model.disable_adapter():
        plain.model.rope_deltas = None
        before = prefill(plain, inputs).logits[0, -1]
    activate(model, scales)
    plain.model.rope_deltas = None
    logits = prefill(plain, inputs).logits[0, -1]
    ids, margins = greedy(plain, inputs, MAX_NEW_TOKENS)
    return {
        "case": case,
        "adapters": [{"name": name, "scale": scale} for name, scale in scales.items()],
        "greedyIds": ids,
        "least margin": round(min(margins), 4),
        "effect": round(float((logits - before).abs().max()), 4),
        "lastLogits": base64.b64encode(logits.numpy().astype("<f4").tobytes()).decode(),
    }


def fit(result):
    """Wide margins, and an effect wherever an adapter has something to change."""
    blind = result["case"] == "text" and [entry["name"] for entry in result["adapters"]] == ["vision"]
    return result["least margin"] >= LEAST_MARGIN and (blind or result["effect"] >= LEAST_EFFECT)


def make(checkpoint, names, seed):
    folder = DATA / "lora" / checkpoint
    shutil.rmtree(folder, ignore_errors=True)
    for name in names:
        make_adapter(checkpoint, name, seed, folder)
    model = adapted(checkpoint, names, folder)
    results = []
    for scales in [scales for scales in SETS if set(scales) <= set(names)]:
        for case in CASES:
            result = run(model, checkpoint, case, scales)
            print(f"  {case:10} {scales}  least margin {result['least margin']}  effect {result['effect']}")
            if not fit(result):
                return False
            results.append(result)
    expected = {
        "version": FORMAT_VERSION,
        "madeBy": f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}",
        "runs": results,
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    return True


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    for checkpoint, (first, names) in CHECKPOINTS.items():
        for seed in range(first, first + 60):
            print(f"{checkpoint}, seed {seed}")
            if make(checkpoint, names, seed):
                break
        else:
            raise SystemExit(f"{checkpoint}: no seed gives adapters that are fit to test against")


if __name__ == "__main__":
    main()
