"""What transformers' decoders attend to in their last layer while they answer cases of the golden checkpoints: of each greedy
token, the weights of the row that it is chosen by, the mean over heads.

    pip install -r test/golden/requirements.txt && python test/golden/make_attention.py

Writes test/golden/data/attention.json. Run make.py first: it makes the checkpoints and the cases.
"""

import base64
import json
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText

from record import recorded_inputs

DATA = Path(__file__).resolve().parent / "data"
CASES = {
    "glm4v-tiny": ["two-images", "two-videos"],
    "glm46v-flash-tiny": ["two-images", "two-videos"],
    "glm4v_moe-tiny": ["two-images"],
    "glm_ocr-tiny": ["two-images"],
}
STEPS = 5


@torch.no_grad()
def attended(model, inputs):
    """The greedy tokens, and what the row before each attends to."""
    model.model.rope_deltas = None
    output = model(**inputs, use_cache=True, output_attentions=True)
    length, delta = inputs["input_ids"].shape[1], int(model.model.rope_deltas)
    tokens, weights = [], []
    for step in range(STEPS):
        tokens.append(int(output.logits[0, -1].argmax()))
        weights.append(output.attentions[-1][0, :, -1].mean(dim=0))
        assert weights[-1].shape == (length + step,), weights[-1].shape
        output = model(
            input_ids=torch.tensor([[tokens[-1]]]),
            position_ids=torch.full((3, 1, 1), length + step + delta),
            past_key_values=output.past_key_values,
            use_cache=True,
            output_attentions=True,
        )
    return tokens, weights


def main():
    torch.set_num_threads(1)
    lines = []
    for checkpoint, names in CASES.items():
        model = AutoModelForImageTextToText.from_pretrained(
            DATA / checkpoint, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
        ).eval()
        for name in names:
            folder = DATA / checkpoint / "cases"
            tokens, weights = attended(model, recorded_inputs(folder, name))
            assert tokens == json.loads((folder / f"{name}.json").read_text())["greedyIds"][:STEPS]
            packed = [base64.b64encode(row.numpy().astype("<f4").tobytes()).decode() for row in weights]
            lines.append(json.dumps({"checkpoint": checkpoint, "case": name, "weights": packed}))
            largest = [round(float(row.max()), 3) for row in weights]
            print(f"{checkpoint} {name}: {len(weights[0])} keys, largest weights {largest}")
    (DATA / "attention.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
