"""What makes a recorded case worth testing against: clear greedy choices, and results that depend on every part."""

import copy

import torch

from cases import MAX_NEW_TOKENS
from record import greedy, positions, prefill

LEAST_MARGIN = 0.05  # between the best and the second logit, at every greedy step
LEAST_EFFECT = 0.02  # on some logit, when a part of the model or of the input is changed
LEAST_ROUTER_MARGIN = 1e-5  # between a chosen expert's or group's score and the next one's, at every token
MOST_NOISE = 3e-4  # between float32 and float64 on a last-position logit; tests allow 1e-3
LEAST_DISTINCT = 8  # different tokens among the 24

PARTS = (
    "position_embedding.weight",
    "post_conv_layernorm.weight",
    "q_norm.weight",
    "qkv.bias",
    "k_proj.bias",
    "e_score_correction_bias",
    "mlp.gate.weight",
    "shared_experts.down_proj.weight",
)


def check_checkpoint(spec, model):
    """The configuration as transformers understood it is the one that was written."""
    config = spec.files["config.json"]["text_config"]
    rope_scaling = {key: value for key, value in config.get("rope_scaling", {}).items() if key != "type"}
    wanted = config.get("rope_parameters") or {
        **rope_scaling,
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
    if (noise := rounding_noise(model, inputs, result["logits"])) > MOST_NOISE:
        problems.append(f"{case.name}: float64 differs by {noise:.1e}")
    if (least := router_margin(model, inputs)) < LEAST_ROUTER_MARGIN:
        problems.append(f"{case.name}: router margin {least:.1e}")
    for what, effect in effects(model, inputs, result["logits"]):
        print(f"    {what}: {effect:.3f}")
        if effect < LEAST_EFFECT:
            problems.append(f"{case.name}: {what} moves the logits by {effect:.4f} only")
    return problems


def rounding_noise(model, inputs, logits):
    """Largest difference of a last-position logit when everything is computed in float64."""
    double = copy.deepcopy(model).double()
    double.model.rope_deltas = None
    wide = {key: value.double() if value.is_floating_point() else value for key, value in inputs.items()}
    return float((prefill(double, wide).logits[0, -1] - logits).abs().max())


@torch.no_grad()
def effects(model, inputs, logits):
    """(name of a change, largest change of a last-position logit) for each part that a port may get wrong."""

    def after(**changes):
        model.model.rope_deltas = None
        return float((prefill(model, inputs, **changes).logits[0, -1] - logits).abs().max())

    kind = "image" if "image_grid_thw" in inputs else "video"
    grid_key, pixel_key = f"{kind}_grid_thw", "pixel_values" if kind == "image" else "pixel_values_videos"
    if grid_key not in inputs:
        return
    grid, pixels = inputs[grid_key], inputs[pixel_key]
    ids, _ = positions(model, inputs)
    count = ids.shape[1]
    yield "plain positions", after(position_ids=torch.arange(count).expand(3, 1, count))
    yield "height and width swapped", after(position_ids=ids[[0, 2, 1]][:, None])
    yield "mirrored pixels", after(**{pixel_key: pixels.flip(1)})
    yield "patches reordered", after(**{pixel_key: pixels.roll(4, 0)})
    if (grid[:, 1] != grid[:, 2]).any():
        yield "grid transposed", after(**{grid_key: grid[:, [0, 2, 1]]}, position_ids=ids[:, None])
    everything = dict([*model.named_parameters(), *model.named_buffers()])
    for part in PARTS:
        kept = {name: tensor.clone() for name, tensor in everything.items() if name.endswith(part)}
        for name, tensor in kept.items():
            everything[name].copy_(tensor.mean() if "norm" in name else torch.zeros(()))
        if kept:
            yield f"flat {part}", after()
        for name, tensor in kept.items():
            everything[name].copy_(tensor)


@torch.no_grad()
def router_margin(model, inputs):
    """How near a token's choice of experts or of groups comes to a tie; infinite for a dense model."""
    least = float("inf")

    def look(gate, arguments, _):
        nonlocal least
        scores = torch.nn.functional.linear(arguments[0].view(-1, gate.hidden_dim), gate.weight).sigmoid()
        choice = (scores + gate.e_score_correction_bias).view(len(scores), gate.num_group, -1)
        groups = choice.topk(2).values.sum(-1).sort(descending=True)
        chosen = torch.zeros_like(groups.values).scatter(1, groups.indices[:, : gate.topk_group], 1).bool()
        experts = choice.masked_fill(~chosen[..., None], -1).flatten(1).sort(descending=True).values
        for values, kept in ((groups.values, gate.topk_group), (experts, gate.top_k)):
            least = min(least, float((values[:, kept - 1] - values[:, kept]).min()))

    hooks = [m.register_forward_hook(look) for m in model.modules() if hasattr(m, "e_score_correction_bias")]
    greedy(model, inputs, MAX_NEW_TOKENS)
    for hook in hooks:
        hook.remove()
    return least
