"""Writes data/ops.json: small inputs and outputs of each op, the outputs computed in float64 by torch or by the
functions and modules of transformers that the models use. Inputs are rounded to bf16, so that one file judges
every storage type. Run: python test/golden/make_ops.py
"""

import base64
import json
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
import transformers
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    MinPLogitsWarper,
    NoBadWordsLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.models.glm4v import modeling_glm4v as glm4v
from transformers.models.glm4v_moe import modeling_glm4v_moe as moe

OUT = Path(__file__).parent / "data" / "ops.json"
cases = []


def normal(*shape, scale=1.0, mean=0.0):
    """Float64 values that bf16 holds exactly."""
    return (torch.randn(*shape, dtype=torch.float64) * scale + mean).bfloat16().double()


def pack(tensor):
    integer = not tensor.is_floating_point()
    data = tensor.to(torch.int32 if integer else torch.float32).contiguous().numpy().tobytes()
    return {
        "dtype": "i32" if integer else "f32",
        "shape": list(tensor.shape),
        "data": base64.b64encode(data).decode(),
    }


def record(op, name, inputs, outputs, attrs=None):
    cases.append(
        {
            "op": op,
            "name": name,
            "attrs": attrs or {},
            "inputs": {key: pack(value) for key, value in inputs.items()},
            "outputs": {key: pack(value) for key, value in outputs.items()},
        }
    )


def dense():
    x, w, bias = normal(5, 19), normal(11, 19, scale=0.3), normal(11)
    record("linear", "torch linear", {"x": x, "w": w}, {"y": F.linear(x, w)})
    record("linear_bias", "torch linear", {"x": x, "w": w, "bias": bias}, {"y": F.linear(x, w, bias)})


def elementwise():
    a, b, bias = normal(3, 7, scale=4), normal(3, 7, scale=4), normal(7)
    record("add", "torch add", {"a": a, "b": b}, {"y": a + b})
    record("add_bias", "torch add", {"x": a, "bias": bias}, {"y": a + bias})
    record("gelu", "torch exact gelu", {"x": a}, {"y": F.gelu(a)})
    record("swiglu", "torch silu", {"gate": a, "up": b}, {"y": F.silu(a) * b})


def rms_norm(values, weight):
    """Glm4vRMSNorm, which computes in float32: here in float64."""
    return values * torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


def norms():
    x, b, w, bias = normal(4, 24, scale=3), normal(4, 24), normal(24, mean=1), normal(24)
    norm = glm4v.Glm4vRMSNorm(24, eps=1e-5)
    torch.testing.assert_close(norm(x.float()).double(), rms_norm(x, 1.0), rtol=1e-5, atol=1e-5)
    record("rms_norm", "Glm4vRMSNorm", {"x": x, "w": w}, {"y": rms_norm(x, w)}, {"eps": 1e-5})
    heads = rms_norm(x.view(4, 3, 8), w[:8]).reshape(4, 24)
    record("rms_norm", "Glm4vRMSNorm a head", {"x": x, "w": w[:8]}, {"y": heads}, {"eps": 1e-5})
    record(
        "add_rms_norm", "add, then Glm4vRMSNorm", {"a": x, "b": b, "w": w},
        {"sum": x + b, "y": rms_norm(x + b, w)}, {"eps": 1e-5},
    )
    layer = F.layer_norm(x, (24,), w, bias, eps=1e-5)
    record("layer_norm", "torch layer_norm", {"x": x, "w": w, "b": bias}, {"y": layer}, {"eps": 1e-5})


def rope():
    def tables(rows, half):
        angles = torch.rand(rows, half, dtype=torch.float64) * 6
        return angles.cos().float().double(), angles.sin().float().double()

    def run(name, pairs, rotate, num_heads, head_dim, rotary_dim):
        x = normal(5, num_heads * head_dim)
        cos, sin = tables(5, rotary_dim // 2)
        y = rotate(x.view(1, 5, num_heads, head_dim).transpose(1, 2), cos, sin)
        y = y.transpose(1, 2).reshape(5, num_heads * head_dim)
        attrs = {"numHeads": num_heads, "headDim": head_dim, "rotaryDim": rotary_dim, "pairs": pairs}
        record("rope", name, {"x": x, "cos": cos, "sin": sin}, {"y": y}, attrs)

    def interleaved(x, cos, sin):
        wide = [table.repeat_interleave(2, dim=-1)[None] for table in (cos, sin)]
        return glm4v.apply_rotary_pos_emb(x, x, *wide)[0]

    def half(x, cos, sin):
        wide = [torch.cat((table, table), dim=-1)[None] for table in (cos, sin)]
        return moe.apply_rotary_pos_emb(x, x, *wide)[0]

    run("glm4v text, whole head", "interleaved", interleaved, 2, 8, 8)
    run("glm4v text, partial", "interleaved", interleaved, 3, 16, 8)
    run("glm4v_moe text, partial", "half", half, 3, 16, 8)
    run("vision, whole head", "half", half, 2, 12, 12)


def attention_varlen():
    num_heads, head_dim, lengths = 3, 8, [4, 1, 7]
    rows = sum(lengths)
    q, k, v = (normal(rows, num_heads * head_dim) for _ in range(3))
    parts, first = [], 0
    for length in lengths:
        q1, k1, v1 = (t[first : first + length].view(1, length, num_heads, head_dim).transpose(1, 2) for t in (q, k, v))
        parts.append(F.scaled_dot_product_attention(q1, k1, v1, scale=0.3).transpose(1, 2).reshape(length, -1))
        first += length
    bounds = torch.tensor([0, 4, 5, 12])
    record(
        "attention_varlen", "torch scaled_dot_product_attention",
        {"q": q, "k": k, "v": v, "cuSeqlens": bounds}, {"y": torch.cat(parts)},
        {"numHeads": num_heads, "headDim": head_dim, "scale": 0.3},
    )


def paged():
    heads, kv_heads, head_dim, page = 4, 2, 8, 4
    queries, contexts = [1, 6, 3], [9, 6, 8]
    pages, blocks = 8, 3
    table = torch.tensor([[5, 0, 3], [7, 1, 0], [2, 6, 0]])
    cache = normal(pages, 2, kv_heads, page, head_dim)
    q = normal(sum(queries), heads * head_dim)
    parts, first = [], 0
    for sequence, (count, context) in enumerate(zip(queries, contexts)):
        at = [(int(table[sequence, p // page]), p % page) for p in range(context)]
        k = torch.stack([cache[block, 0, :, place] for block, place in at], dim=1)[None]
        v = torch.stack([cache[block, 1, :, place] for block, place in at], dim=1)[None]
        q1 = q[first : first + count].view(1, count, heads, head_dim).transpose(1, 2)
        mask = torch.ones(count, context, dtype=torch.bool).tril(context - count)
        out = F.scaled_dot_product_attention(
            q1, glm4v.repeat_kv(k, 2), glm4v.repeat_kv(v, 2), attn_mask=mask, scale=0.4
        )
        parts.append(out.transpose(1, 2).reshape(count, -1))
        first += count
    attrs = {"numHeads": heads, "numKvHeads": kv_heads, "headDim": head_dim, "pageSize": page}
    record(
        "attention_paged", "torch scaled_dot_product_attention with a causal mask",
        {
            "q": q, "cache": cache.reshape(pages, -1), "blockTable": table,
            "cuSeqlens": torch.tensor([0, 1, 7, 10]), "contextLens": torch.tensor(contexts),
        },
        {"y": torch.cat(parts)}, attrs | {"scale": 0.4},
    )
    slots = torch.tensor([3, -1, 17, 30])
    k, v = normal(4, kv_heads * head_dim), normal(4, kv_heads * head_dim)
    after = cache.clone()
    for t, slot in enumerate(slots.tolist()):
        if slot >= 0:
            after[slot // page, 0, :, slot % page] = k[t].view(kv_heads, head_dim)
            after[slot // page, 1, :, slot % page] = v[t].view(kv_heads, head_dim)
    attrs = {"numKvHeads": kv_heads, "headDim": head_dim, "pageSize": page}
    inputs = {"k": k, "v": v, "slots": slots, "cache": cache.reshape(pages, -1)}
    record("kv_write", "torch indexing", inputs, {"cache": after.reshape(pages, -1)}, attrs)


def rows():
    x, index = normal(9, 6), torch.tensor([8, 0, 0, 5])
    attrs = {"first": 0, "total": x.shape[0]}
    record("embed", "torch embedding", {"ids": index, "table": x}, {"y": F.embedding(index, x)}, attrs)
    record("gather_rows", "torch indexing", {"x": x, "rows": index}, {"y": x[index]})
    values, places = normal(3, 6), torch.tensor([7, 2, 4])
    inputs = {"x": x, "values": values, "rows": places}
    record("scatter_rows", "torch index_copy", inputs, {"y": x.index_copy(0, places, values)})


def position_embed():
    side, grid_h, grid_w = 5, 3, 7
    table = normal(side * side, 6)
    h, w = (t.flatten().double() for t in torch.meshgrid(torch.arange(grid_h), torch.arange(grid_w), indexing="ij"))
    # As Glm4vVisionEmbeddings.forward: normalised by the picture's own grid, then undone by grid_sample.
    grid = torch.stack(((w + 0.5) / grid_w * 2 - 1, (h + 0.5) / grid_h * 2 - 1), dim=-1)[None, :, None]
    picture = table.view(side, side, 6).permute(2, 0, 1)[None]
    sampled = F.grid_sample(picture, grid, mode="bicubic", align_corners=False, padding_mode="border")
    coords = torch.stack(((w + 0.5) / grid_w * side - 0.5, (h + 0.5) / grid_h * side - 0.5), dim=-1)
    record(
        "position_embed_bicubic", "torch grid_sample", {"table": table, "coords": coords},
        {"y": sampled[0, :, :, 0].T}, {"side": side},
    )


def experts():
    def run(e, top_k, groups, topk_groups, normalise):
        config = SimpleNamespace(
            num_experts_per_tok=top_k, num_local_experts=e, hidden_size=e, routed_scaling_factor=1.5,
            n_group=groups, topk_group=topk_groups, norm_topk_prob=normalise,
        )
        router = moe.Glm4vMoeTextTopkRouter(config)
        # With the identity as its weight the router's input is its logits.
        router.weight.data = torch.eye(e)
        logits, correction = normal(6, e, scale=2), normal(e, scale=0.3)
        router.e_score_correction_bias = correction.float()
        with torch.no_grad():
            _, weights, chosen = router(logits.float())
        ranked = torch.gather(logits.sigmoid() + correction, 1, chosen)
        order = ranked.argsort(dim=-1, descending=True)
        attrs = {
            "topK": top_k, "numGroups": groups, "topkGroups": topk_groups,
            "normalise": "yes" if normalise else "no", "scale": 1.5,
        }
        record(
            "route_experts", f"Glm4vMoeTextTopkRouter, {e} experts in {groups} groups",
            {"logits": logits, "correction": correction},
            {"experts": chosen.gather(1, order), "weights": weights.double().gather(1, order)}, attrs,
        )

    run(8, 2, 1, 1, True)
    run(12, 3, 4, 2, False)
    run(12, 4, 3, 2, True)

    num_experts, n, width, top_k, tokens = 5, 7, 6, 2, 8
    config = SimpleNamespace(
        num_local_experts=num_experts, hidden_size=n, moe_intermediate_size=width, hidden_act="silu",
        _experts_implementation="eager",
    )
    module = moe.Glm4vMoeTextExperts(config).double()
    module.gate_up_proj.data = normal(num_experts, 2 * width, n, scale=0.5)
    module.down_proj.data = normal(num_experts, n, width, scale=0.5)
    x, weights = normal(tokens, n), normal(tokens, top_k).abs()
    chosen = torch.stack([torch.randperm(num_experts)[:top_k] for _ in range(tokens)])
    with torch.no_grad():
        y = module(x, chosen, weights)
    inputs = {
        "x": x, "experts": chosen, "weights": weights,
        "gateUp": module.gate_up_proj.data.reshape(-1, n), "down": module.down_proj.data.reshape(-1, width),
    }
    attrs = {
        "numExperts": num_experts, "topK": top_k, "width": width, "firstExpert": 0, "totalExperts": num_experts,
    }
    record("experts", "Glm4vMoeTextExperts", inputs, {"y": y}, attrs)


def fused():
    """Ops that stand for several: after the others, which keep their random numbers."""
    a, b, inner, outer = normal(4, 24, scale=3), normal(4, 24, scale=2), normal(24, mean=1), normal(24, mean=1)
    total = a + rms_norm(b, inner)
    record(
        "rms_norm_add_rms_norm", "Glm4vTextDecoderLayer's norms between two parts",
        {"a": a, "b": b, "wb": inner, "w": outer}, {"sum": total, "y": rms_norm(total, outer)}, {"eps": 1e-5},
    )

    x, gate, up = normal(5, 19), normal(6, 19, scale=0.3), normal(6, 19, scale=0.3)
    y = F.silu(F.linear(x, gate)) * F.linear(x, up)
    record("linear_swiglu", "torch linear and silu", {"x": x, "w": torch.cat((gate, up))}, {"y": y}, {"width": 6})

    heads, kv_heads, head_dim, rotary_dim, page, count, context = 4, 2, 12, 8, 4, 3, 9
    blocks, pages = torch.tensor([[4, 1, 2, 0]]), 5
    q, k, v = (normal(count, n * head_dim) for n in (heads, kv_heads, kv_heads))
    angles = torch.rand(count, rotary_dim // 2, dtype=torch.float64) * 6
    cos, sin = angles.cos().float().double(), angles.sin().float().double()
    split = lambda x: x.view(1, count, -1, head_dim).transpose(1, 2)
    wide = [table.repeat_interleave(2, dim=-1)[None] for table in (cos, sin)]
    rotated_q, rotated_k = glm4v.apply_rotary_pos_emb(split(q), split(k), *wide)
    before = normal(pages, 2, kv_heads, page, head_dim)
    after, slots = before.clone(), []
    for t, position in enumerate(range(context - count, context)):
        block = int(blocks[0, position // page])
        slots.append(block * page + position % page)
        after[block, 0, :, position % page] = rotated_k[0, :, t]
        after[block, 1, :, position % page] = split(v)[0, :, t]
    at = [(int(blocks[0, p // page]), p % page) for p in range(context)]
    keys, values = (torch.stack([after[b, part, :, p] for b, p in at], dim=1)[None] for part in (0, 1))
    mask = torch.ones(count, context, dtype=torch.bool).tril(context - count)
    y = F.scaled_dot_product_attention(
        rotated_q, glm4v.repeat_kv(keys, 2), glm4v.repeat_kv(values, 2), attn_mask=mask, scale=0.4
    )
    record(
        "rope_attention_paged", "glm4v text, partial, torch scaled_dot_product_attention",
        {
            "q": q, "k": k, "v": v, "cos": cos, "sin": sin, "slots": torch.tensor(slots),
            "cache": before.reshape(pages, -1), "blockTable": blocks,
            "cuSeqlens": torch.tensor([0, count]), "contextLens": torch.tensor([context]),
        },
        {"y": y.transpose(1, 2).reshape(count, -1), "cache": after.reshape(pages, -1)},
        {
            "numHeads": heads, "numKvHeads": kv_heads, "headDim": head_dim, "rotaryDim": rotary_dim,
            "pairs": "interleaved", "pageSize": page, "scale": 0.4,
        },
    )


# (temperature, top_p, min_p, top_k)
SAMPLING = {
    "temperature": (0.7, 1, 0, 0),
    "top-k": (1.3, 1, 0, 5),
    "top-k past the vocabulary": (1, 1, 0, 99),
    "top-p": (1, 0.8, 0, 0),
    "top-p of the first alone": (1, 0.05, 0, 0),
    "min-p": (1, 1, 0.1, 0),
    "all": (1.5, 0.9, 0.1, 9),
    "top-k among equals": (1.1, 1, 0, 5),
}


def processed(logits, temperature, top_p, min_p, top_k):
    """Scores after transformers' processors, in the order in which generate applies them."""
    steps = [TemperatureLogitsWarper(float(temperature))]
    if top_k > 0:
        steps.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        steps.append(TopPLogitsWarper(top_p))
    if min_p > 0:
        steps.append(MinPLogitsWarper(min_p))
    return LogitsProcessorList(steps)(torch.zeros(1, 0, dtype=torch.long), logits[None])[0]


def sampling():
    """Draws just inside both ends of the interval that each kept token has of 0..1, in the order of tokens: a token more
    or less that is kept would move an end."""
    size = 16
    for name, options in SAMPLING.items():
        logits = normal(size, scale=2)
        if "equals" in name:
            logits = logits.round()
        # Which of equals top-p keeps is our own rule.
        while "equals" not in name and len(logits.unique()) < size:
            logits = normal(size, scale=2)
        scores = processed(logits, *options)
        shares = scores.softmax(-1)
        ends = shares.cumsum(0)
        rows = [
            (token, (ends[token] - shares[token] * (1 - part)).item())
            for token in range(size)
            if shares[token] > 0
            for part in (0.001, 0.999)
        ]
        count = len(rows)
        draws = torch.tensor([int(at * 2**32) for _, at in rows])
        draws = torch.where(draws < 2**31, draws, draws - 2**32)
        record(
            "sample", f"transformers' logits processors, {name}",
            {
                "logits": logits.expand(count, size),
                "adjusted": torch.zeros(0, size, dtype=torch.float64),
                "adjustedAs": torch.full((count,), -1),
                "settings": torch.tensor(options[:3], dtype=torch.float64).expand(count, 3),
                "choices": torch.stack([torch.full((count,), options[3]), draws], 1),
            },
            {"tokens": torch.tensor([token for token, _ in rows])},
        )


def adjusting():
    """What single tokens are changed by, alone, by transformers' processors and the formulas of OpenAI's reference."""
    size, context = 16, torch.tensor([3, 5, 3, 11, 0])
    seen, minus = [3, 5, 11, 0], float("-inf")

    def by(*processors):
        return lambda logits: LogitsProcessorList(processors)(context[None], logits[None])[0]

    def penalised(presence, frequency):
        """mu[j] - c[j] * alpha_frequency - float(c[j] > 0) * alpha_presence"""
        counts = torch.bincount(context, minlength=size)
        return lambda logits: logits - counts * frequency - (counts > 0) * presence

    def masked(allowed):
        keep = torch.isin(torch.arange(size), torch.tensor(allowed))
        return lambda logits: logits.masked_fill(~keep, minus)

    bias = {2: 1.5, 7: -4.0, 15: 100.0}
    changes = {
        "repetition penalty": (by(RepetitionPenaltyLogitsProcessor(1.5)), [(id, 1.5, 0) for id in seen]),
        "repetition bonus": (by(RepetitionPenaltyLogitsProcessor(0.5)), [(id, 0.5, 0) for id in seen]),
        "sequence bias": (
            by(SequenceBiasLogitsProcessor({(id,): value for id, value in bias.items()})),
            [(id, 1, value) for id, value in bias.items()],
        ),
        # The second ends where the context does, the third does not.
        "bad words": (
            by(NoBadWordsLogitsProcessor([[4], [11, 0, 6], [5, 9]], eos_token_id=15)), [(4, 1, minus), (6, 1, minus)],
        ),
        "min length": (by(MinLengthLogitsProcessor(6, [1, 8])), [(1, 1, minus), (8, 1, minus)]),
        "presence and frequency penalty": (
            penalised(0.5, 0.25), [(3, 1, -1.0), (5, 1, -0.75), (11, 1, -0.75), (0, 1, -0.75)],
        ),
        "a mask": (masked([0, 4, 5, 14, 15]), []),
    }
    for name, (right, listed) in changes.items():
        logits = normal(3, size, scale=2)
        count = len(listed)
        record(
            "adjust_logits", f"{name}",
            {
                "logits": logits,
                "rows": torch.tensor([2, 0]),
                "ids": torch.tensor([id for id, _, _ in listed] * 2, dtype=torch.int64),
                "changes": torch.tensor([values for _, *values in listed] * 2, dtype=torch.float64).reshape(-1, 2),
                "cuIds": torch.tensor([0, count, 2 * count]),
                "masks": torch.tensor([[0b1100000000110001]]),
                "maskOf": torch.full((2,), 0 if name == "a mask" else -1),
            },
            {"adjusted": torch.stack([right(logits[2]), right(logits[0])])},
        )


def drafts():
    """Slices of 3, 1 and 2 rows: two guesses right, none made, one wrong."""
    tokens, guesses = torch.tensor([5, 7, 9, 4, 6, 2]), torch.tensor([5, 7, -1, -1, 8, -1])
    row_of, choices_of = torch.tensor([10, 11, 12, 20, 30, 31]), torch.arange(12).reshape(6, 2)
    accepted = torch.tensor([2, 3, 4])
    record(
        "accept_drafts", "torch indexing",
        {
            "tokens": tokens, "guesses": guesses, "firsts": torch.tensor([0, 3, 4]), "rowOf": row_of,
            "choicesOf": choices_of,
        },
        {"accepted": accepted, "rows": row_of[accepted], "choices": choices_of[accepted]},
    )
    # Not normal(): other goldens keep their random values.
    cos_of, sin_of = torch.arange(18, dtype=torch.float64).reshape(6, 3), -torch.arange(18, dtype=torch.float64).reshape(6, 3)
    of, made = torch.tensor([2, 0]), torch.tensor([40, 41, -1])
    slot_of, length_of = torch.tensor([1, -1, 3, 4, 5, 6]), torch.tensor([2, 3, 4, 5, 6, 7])
    at = accepted[of]
    record(
        "follow_drafts", "torch indexing",
        {
            "of": of, "drafts": made, "chosen": accepted, "slotOf": slot_of, "lengthOf": length_of, "cosOf": cos_of,
            "sinOf": sin_of, "choicesOf": choices_of,
        },
        {
            "ids": made[of], "accepted": at, "slots": slot_of[at], "lengths": length_of[at], "cos": cos_of[at],
            "sin": sin_of[at], "choices": choices_of[at],
        },
    )


def attention_weights():
    """eager_attention_forward's weights, before the values; the rows of q see some of the keys each."""
    heads, kv_heads, head_dim, page = 4, 2, 8, 4
    table = torch.tensor([[5, 0, 3], [2, 6, 0]])
    cache = normal(8, 2, kv_heads, page, head_dim)
    sequences, lengths = torch.tensor([1, 0, 0]), torch.tensor([8, 12, 5])
    q = normal(3, heads * head_dim)
    weights = torch.zeros(3, 12, dtype=torch.float64)
    module = SimpleNamespace(num_key_value_groups=heads // kv_heads, training=False)
    for row, (sequence, length) in enumerate(zip(sequences.tolist(), lengths.tolist())):
        at = [(int(table[sequence, p // page]), p % page) for p in range(length)]
        k, v = (torch.stack([cache[block, part, :, place] for block, place in at], dim=1)[None] for part in (0, 1))
        q1 = q[row].view(1, heads, 1, head_dim)
        scores = q1 @ glm4v.repeat_kv(k, 2).transpose(2, 3) * 0.4
        weights[row, :length] = scores.softmax(-1).mean(dim=1)[0, 0]
        _, found = glm4v.eager_attention_forward(module, q1, k, v, None, scaling=0.4)
        torch.testing.assert_close(found.double().mean(dim=1)[0, 0], weights[row, :length], rtol=1e-5, atol=1e-6)
    attrs = {"numHeads": heads, "numKvHeads": kv_heads, "headDim": head_dim, "pageSize": page, "scale": 0.4}
    inputs = {"q": q, "cache": cache.reshape(8, -1), "blockTable": table, "sequences": sequences, "lengths": lengths}
    record("attention_weights", "glm4v eager_attention_forward", inputs, {"weights": weights}, attrs)


def main():
    torch.manual_seed(20)
    makers = (
        dense, elementwise, norms, rope, attention_varlen, paged, rows, position_embed, experts, fused, sampling,
        adjusting, drafts, attention_weights,
    )
    for make in makers:
        make()
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    OUT.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(case) for case in cases)
    OUT.write_text(f'{{"madeBy": "test/golden/make_ops.py", "versions": {json.dumps(versions)}, "cases": [\n{lines}\n]}}\n')
    print(f"{len(cases)} cases, {OUT.stat().st_size} bytes: {OUT}")


if __name__ == "__main__":
    main()
