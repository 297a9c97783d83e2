"""Golden data for test/models/mtp.test.ts: what the multi-token-prediction layer makes of prompts of golden checkpoints.

    pip install -r test/golden/requirements.txt && python test/golden/make_mtp.py

transformers leaves this layer out, so it is written down here, as the published models run it: hidden states are those of
transformers' decoder behind its last norm; everything of the layer itself is plain PyTorch below. glm_ocr-tiny has the layer
with a table and a head of its own; for glm4v_moe-tiny it is made here (data/mtp/), with those of the model.

Writes data/mtp.json: of each case the logits of the layer for the last row of the prompt and the four behind it, each read
with the token that the model says next; and behind the prompt's last row three drafts, each read with the draft before.
"""

import base64
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from layouts import mtp_layer, spread

DATA = Path(__file__).parent / "data"
FORMAT_VERSION = 1
FORCED = 4
DRAFTS = 3
ROOT = "model.language_model."


class Layer:
    """x_i = eh_proj [enorm(embedding of token i+1), hnorm(hidden state i)], one decoder layer at position i, then the head."""

    def __init__(self, family: str, text: dict, weights: dict, head: torch.Tensor):
        self.family, self.text, self.eps = family, text, text["rms_norm_eps"]
        self.at = f"{ROOT}layers.{text['num_hidden_layers']}."
        self.weights = weights
        self.head = weights.get(f"{self.at}shared_head.head.weight", head)
        self.heads, self.kv_heads = text["num_attention_heads"], text["num_key_value_heads"]
        self.head_dim = text.get("head_dim") or text["hidden_size"] // self.heads

    def weight(self, name: str) -> torch.Tensor:
        return self.weights[self.at + name]

    def norm(self, x, name: str):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight(name + ".weight")

    def linear(self, x, name: str):
        return F.linear(x, self.weight(name + ".weight"), self.weights.get(f"{self.at}{name}.bias"))

    def enter(self, embedding, hidden, is_first: bool):
        embedding = torch.zeros_like(embedding) if is_first else embedding
        return self.linear(torch.cat([self.norm(embedding, "enorm"), self.norm(hidden, "hnorm")], -1), "eh_proj")

    def rotate(self, x, positions):
        """x [rows, heads, head_dim]; the three axes own blocks of frequencies in turn."""
        rope = self.text.get("rope_parameters") or {**self.text.get("rope_scaling", {}), **self.text}
        rotated = int(self.head_dim * rope.get("partial_rotary_factor", 1.0))
        inverse = rope["rope_theta"] ** -(torch.arange(0, rotated, 2, dtype=torch.float32) / rotated)
        axes = torch.repeat_interleave(torch.arange(3), torch.tensor(rope["mrope_section"]))
        angles = positions.float().T[:, axes] * inverse
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        turned, rest = x[..., :rotated], x[..., rotated:]
        if self.family == "glm4v_moe":
            first, second = turned[..., : rotated // 2], turned[..., rotated // 2 :]
            turned = torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
        else:
            first, second = turned[..., 0::2], turned[..., 1::2]
            turned = torch.stack([first * cos - second * sin, second * cos + first * sin], -1).flatten(-2)
        return torch.cat([turned, rest], -1)

    def attend(self, x, positions):
        rows = x.shape[0]
        split = lambda name, heads: self.linear(x, f"self_attn.{name}_proj").view(rows, heads, self.head_dim)
        q = self.rotate(split("q", self.heads), positions)
        k = self.rotate(split("k", self.kv_heads), positions).repeat_interleave(self.heads // self.kv_heads, 1)
        v = split("v", self.kv_heads).repeat_interleave(self.heads // self.kv_heads, 1)
        scores = torch.einsum("qhd,khd->hqk", q, k) * self.head_dim**-0.5
        scores = scores.masked_fill(torch.ones(rows, rows, dtype=torch.bool).triu(1), float("-inf"))
        mixed = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(rows, -1)
        return self.linear(mixed, "self_attn.o_proj")

    def gated(self, x, name: str):
        gate, up = self.linear(x, f"{name}.gate_proj"), self.linear(x, f"{name}.up_proj")
        return self.linear(F.silu(gate) * up, f"{name}.down_proj")

    def feed_forward(self, x):
        if self.family != "glm4v_moe":
            gate, up = self.linear(x, "mlp.gate_up_proj").chunk(2, -1)
            return self.linear(F.silu(gate) * up, "mlp.down_proj")
        text = self.text
        scores = self.linear(x, "mlp.gate").sigmoid()
        ranked = scores + self.weight("mlp.gate.e_score_correction_bias")
        groups = ranked.view(len(x), text["n_group"], -1)
        best = groups.topk(2, -1).values.sum(-1).topk(text["topk_group"], -1).indices
        allowed = torch.zeros_like(groups[..., 0]).scatter(1, best, 1).bool()
        ranked = groups.masked_fill(~allowed[..., None], float("-inf")).view_as(ranked)
        chosen = ranked.topk(text["num_experts_per_tok"], -1).indices
        shares = scores.gather(1, chosen)
        if text["norm_topk_prob"]:
            shares = shares / (shares.sum(-1, keepdim=True) + 1e-20)
        shares = shares * text["routed_scaling_factor"]
        routed = torch.zeros_like(x)
        for row, (experts, weights) in enumerate(zip(chosen.tolist(), shares)):
            for expert, weight in zip(experts, weights):
                routed[row] += weight * self.gated(x[row], f"mlp.experts.{expert}")
        return routed + self.gated(x, "mlp.shared_experts")

    def run(self, x, positions):
        sandwich = self.family != "glm4v_moe"
        after = lambda value, name: self.norm(value, name) if sandwich else value
        attended = self.attend(self.norm(x, "input_layernorm"), positions)
        middle = x + after(attended, "post_self_attn_layernorm")
        mixed = self.feed_forward(self.norm(middle, "post_attention_layernorm"))
        return middle + after(mixed, "post_mlp_layernorm")

    def logits(self, out):
        return F.linear(self.norm(out, "shared_head.norm"), self.head)


def made_layer(config: dict) -> dict:
    """A random layer for a checkpoint without one; the table and the head are the model's."""
    text, generator = config["text_config"], np.random.default_rng(71)
    shapes = mtp_layer(config["model_type"], text)
    at = f"{ROOT}layers.{text['num_hidden_layers']}."
    for shared in ("embed_tokens.weight", "shared_head.head.weight"):
        del shapes[at + shared]
    weights = {}
    for name, shape in shapes.items():
        mean, deviation = spread(name, shape)
        weights[name] = torch.from_numpy(generator.normal(mean, deviation, shape).astype(np.float32)).bfloat16()
    return weights


def read_case(folder: Path, case: str) -> dict:
    import gzip

    entry = json.loads((folder / "cases" / f"{case}.json").read_text())
    blob = gzip.decompress((folder / "cases" / f"{case}.bin.gz").read_bytes())
    for name, array in entry["arrays"].items():
        count = int(np.prod(array["shape"]))
        values = np.frombuffer(blob, "<f4", count, array["byteOffset"]).reshape(array["shape"])
        entry[name] = torch.from_numpy(values.copy())
    return entry


def hidden_states(model, case: dict, ids: list, types: list):
    """Of the language model behind its last norm, and the embeddings of all rows."""
    given = dict(input_ids=torch.tensor([ids]), mm_token_type_ids=torch.tensor([types]))
    if case["imageGridThw"]:
        given |= dict(pixel_values=case["pixelValues"], image_grid_thw=torch.tensor(case["imageGridThw"]))
    hidden = model.model(**given, use_cache=False).last_hidden_state[0]
    return hidden


def record(model, layer: Layer, table, case: dict) -> dict:
    prompt, greedy = case["inputIds"], case["greedyIds"]
    forced = greedy[:FORCED]
    ids, types = prompt + forced, case["mmTokenTypeIds"] + [0] * FORCED
    hidden = hidden_states(model, case, ids, types)
    length = len(prompt)
    answer = torch.arange(length, length + FORCED + DRAFTS) + case["ropeDelta"]
    positions = torch.cat([torch.tensor(case["positionIds"]), answer.expand(3, -1)], 1)
    embeddings = F.embedding(torch.tensor(ids + [greedy[FORCED]]), table)
    features = case.get("visionEmbeddings")
    if features is not None:
        embeddings[torch.tensor(types + [0]) > 0] = features
    x = torch.stack([layer.enter(embeddings[i + 1], hidden[i], i == 0) for i in range(len(ids))])
    out = layer.run(x, positions[:, : len(ids)])
    drafts, draft_logits = [], []
    rows, state = x[:length], out[length - 1]
    for step in range(DRAFTS):
        logits = layer.logits(state)
        draft_logits.append(logits)
        drafts.append(int(logits.argmax()))
        rows = torch.cat([rows, layer.enter(F.embedding(torch.tensor(drafts[-1]), table), state, False)[None]])
        state = layer.run(rows, positions[:, : length + step + 1])[-1]
    return dict(
        forcedLogits=encode(layer.logits(out[length - 1 :])),
        drafts=drafts,
        draftLogits=encode(torch.stack(draft_logits)),
    )


def encode(values: torch.Tensor) -> str:
    return base64.b64encode(values.float().numpy().astype("<f4").tobytes()).decode()


@torch.inference_mode()
def main() -> None:
    recorded = {}
    for name in ("glm_ocr-tiny", "glm4v_moe-tiny"):
        folder = DATA / name
        config = json.loads((folder / "config.json").read_text())
        weights = load_file(str(folder / "model.safetensors"))
        at = f"{ROOT}layers.{config['text_config']['num_hidden_layers']}."
        if not any(key.startswith(at) for key in weights):
            made = made_layer(config)
            (DATA / "mtp").mkdir(exist_ok=True)
            save_file(made, str(DATA / "mtp" / f"{name}.safetensors"), metadata={"format": "pt"})
            weights |= made
        weights = {key: value.float() for key, value in weights.items()}
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        head = weights.get("lm_head.weight", weights[f"{ROOT}embed_tokens.weight"])
        layer = Layer(config["model_type"], config["text_config"], weights, head)
        table = weights.get(f"{at}embed_tokens.weight", weights[f"{ROOT}embed_tokens.weight"])
        for case in ("text", "one-image"):
            recorded[f"{name}/{case}"] = record(model, layer, table, read_case(folder, case))
            print(name, case, recorded[f"{name}/{case}"]["drafts"])
    (DATA / "mtp.json").write_text(json.dumps(dict(version=FORMAT_VERSION, cases=recorded), indent=1) + "\n")


if __name__ == "__main__":
    main()
