"""What makes a recorded case worth testing against: clear greedy choices, and results that depend on every part."""

import torch

from record import positions, prefill

LEAST_MARGIN = 0.05  # between the best and the second logit, at every greedy step
LEAST_EFFECT = 0.02  # on some logit, when a part of the model or of the input is changed
LEAST_DISTINCT = 8  # different tokens among the 24


def check_checkpoint(spec, model):
    """The configuration as transformers understood it is the one that was written."""
    config = spec.files["config.json"]["text_config"]
    wanted = config.get("rope_parameters") or {
        **config["rope_scaling"],
        "rope_theta": config["rope_theta"],
        "partial_rotary_factor": config["partial_rotary_factor"],
    }
    got = model.config.text_config.rope_parameters
    return [f"rope {key}: {got.get(key)}" for key, value in wanted.items() if got.get(key) != value]


def check_case(spec, model, case, result):
    problems = []
    entry, inputs = result["entry"], result["inputs"]
    if min(result["margins"]) < LEAST_MARGIN:
        problems.append(f"{case.name}: margin {min(result['margins']):.4f}")
    if len(set(entry["greedyIds"])) < LEAST_DISTINCT:
        problems.append(f"{case.name}: only {len(set(entry['greedyIds']))} different tokens")
    for what, effect in effects(model, inputs, result["logits"]):
        print(f"    {what}: {effect:.2f}")
        if effect < LEAST_EFFECT:
            problems.append(f"{case.name}: {what} moves the logits by {effect:.4f} only")
    return problems


@torch.no_grad()
def effects(model, inputs, logits):
    """(name of a change, largest change of a last-position logit) for each part that a port may get wrong."""

    def after(**changes):
        model.model.rope_deltas = None
        return float((prefill(model, inputs, **changes).logits[0, -1] - logits).abs().max())

    if "pixel_values" not in inputs:
        return
    ids, _ = positions(model, inputs)
    count = ids.shape[1]
    yield "plain positions", after(position_ids=torch.arange(count).expand(3, 1, count))
    swapped = ids[[0, 2, 1]][:, None]
    yield "height and width swapped", after(position_ids=swapped)
    yield "mirrored pixels", after(pixel_values=inputs["pixel_values"].flip(1))
    yield "patches reordered", after(pixel_values=inputs["pixel_values"].roll(4, 0))
    if (inputs["image_grid_thw"][:, 1] != inputs["image_grid_thw"][:, 2]).any():
        yield "grid transposed", after(image_grid_thw=inputs["image_grid_thw"][:, [0, 2, 1]], position_ids=ids[:, None])
    for name, parameter in model.named_parameters():
        if "position_embedding" in name or name.endswith(("post_conv_layernorm.weight", "q_norm.weight", "qkv.bias")):
            kept = parameter.clone()
            parameter.copy_(parameter.mean() if "norm" in name else torch.zeros(()))
            change = after()
            parameter.copy_(kept)
            yield f"flat {name.removeprefix('model.visual.')}", change
