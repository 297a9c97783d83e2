"""The multi-token-prediction layer of the demo, as the released models define it, and its training.

    python mtp.py train --out run-mtp --minutes 20
    python mtp.py export run-mtp/mtp.safetensors ../checkpoint

The reader itself stands still: its weights are those of the checkpoint. The layer learns to say the token after
next of what the reader reads, and one and two tokens further from its own output.
"""

import argparse
import json
import multiprocessing
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers.models.glm_ocr.modeling_glm_ocr import GlmOcrRMSNorm, GlmOcrTextDecoderLayer

from model import AFTER_IDS, BEFORE_IDS, IGNORE, WIDTH, Reader, build_config
from render import Renderer
from train import make_batch, rate_at

HERE = Path(__file__).resolve().parent
PREFIX = "model.language_model.layers.{}."


class Predictor(nn.Module):
    """Row i: x = eh_proj([enorm(embedding of token i+1), hnorm(hidden state i)]), then a layer of the decoder."""

    def __init__(self, config):
        super().__init__()
        self.enorm = GlmOcrRMSNorm(WIDTH, eps=config.rms_norm_eps)
        self.hnorm = GlmOcrRMSNorm(WIDTH, eps=config.rms_norm_eps)
        self.eh_proj = nn.Linear(2 * WIDTH, WIDTH, bias=False)
        self.block = GlmOcrTextDecoderLayer(config, 0)
        self.norm = GlmOcrRMSNorm(WIDTH, eps=config.rms_norm_eps)

    def forward(self, embeddings, hidden, rotary, mask):
        """embeddings, hidden [batch, tokens, width]; the embedding at position 0 counts as zero."""
        embeddings = torch.cat([torch.zeros_like(embeddings[:, :1]), embeddings[:, 1:]], 1)
        x = self.eh_proj(torch.cat([self.enorm(embeddings), self.hnorm(hidden)], -1))
        return self.block(x, position_embeddings=rotary, attention_mask=mask)

    def published(self, layer: int) -> dict:
        """Its weights by the names of a checkpoint."""
        names = {"block.": "", "norm.": "shared_head.norm."}
        renamed = {}
        for name, tensor in self.state_dict().items():
            old = next((old for old in names if name.startswith(old)), "")
            renamed[PREFIX.format(layer) + names.get(old, "") + name[len(old) :]] = tensor
        return renamed


def start_from(predictor: Predictor, reader: Reader) -> None:
    """The block begins as the reader's last one, and x as the hidden state: it is near already."""
    language = reader.model.model.language_model
    predictor.block.load_state_dict(language.layers[-1].state_dict())
    predictor.norm.load_state_dict(language.norm.state_dict())
    half = torch.eye(WIDTH) * 0.5
    predictor.eh_proj.weight.data.copy_(torch.cat([half, half], 1))


@torch.no_grad()
def read(reader: Reader, batch: dict):
    """(embeddings, final hidden states, rotary tables, first row that answers) of the demo's prompt and answer."""
    rows, columns = batch["rows"], batch["columns"]
    target = torch.from_numpy(batch["target"])
    language = reader.model.model.language_model
    count = target.shape[0]
    _, tokens = reader.see(torch.from_numpy(batch["grey"]), rows, columns)
    parts = [
        language.embed_tokens(torch.tensor(BEFORE_IDS)).expand(count, -1, -1),
        tokens.float().view(count, -1, WIDTH),
        language.embed_tokens(torch.tensor(AFTER_IDS)).expand(count, -1, -1),
        language.embed_tokens(target.clamp(min=0)),
    ]
    inputs = torch.cat(parts, 1)
    index = reader.grid(rows, columns)[2][:, :, : inputs.shape[1]].expand(-1, count, -1)
    hidden = language(inputs_embeds=inputs, position_ids=index, use_cache=False).last_hidden_state.float()
    rotary = language.rotary_emb(inputs, index)
    return inputs, hidden, rotary, inputs.shape[1] - target.shape[1], target


def losses(reader: Reader, predictor: Predictor, batch: dict, steps: int):
    """Of each draft step, the cross-entropy and the share of right tokens."""
    embeddings, hidden, rotary, first, target = read(reader, batch)
    length = embeddings.shape[1]
    mask = torch.full((length, length), float("-inf")).triu(1)[None, None]
    padded = F.pad(target, (0, steps + 1), value=IGNORE)
    found = []
    state = hidden
    for step in range(steps):
        # Row i reads token i+1+step in place of i+1 and says the one behind it.
        shift = step + 1
        following = F.pad(embeddings[:, shift:], (0, 0, 0, shift))
        at = length - shift
        state = predictor(following, state, rotary, mask)
        logits = reader.model.lm_head(predictor.norm(state[:, first - 1 : at])).float()
        # Row first-1 of the reader says target 0; of this step it says target `shift`.
        wanted = padded[:, shift : shift + logits.shape[1]]
        known = wanted != IGNORE
        right = (logits.argmax(-1) == wanted)[known].float().mean().item()
        found.append((F.cross_entropy(logits[known], wanted[known]), right))
    return found


def produce(queue, seed: int, batch: int) -> None:
    torch.set_num_threads(1)
    renderer = Renderer(seed)
    while True:
        queue.put(make_batch(renderer, batch, 1.0))


def load_reader(folder: Path) -> Reader:
    reader = Reader()
    weights = load_file(str(folder / "model.safetensors"))
    own = reader.model.state_dict().keys()
    reader.model.load_state_dict({name: weights[name].float() for name in own})
    reader.read_convolution()
    return reader.requires_grad_(False).eval()


def train(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    reader = load_reader(arguments.checkpoint)
    config = build_config().text_config
    config._attn_implementation = "sdpa"
    predictor = Predictor(config)
    start_from(predictor, reader)
    optimiser = torch.optim.AdamW(predictor.parameters(), lr=arguments.rate, betas=(0.9, 0.98), weight_decay=0.01)
    context = multiprocessing.get_context("fork")
    queue = context.Queue(4)
    worker = context.Process(target=produce, args=(queue, arguments.seed + 1, arguments.batch), daemon=True)
    worker.start()
    arguments.out.mkdir(parents=True, exist_ok=True)
    begun, average, step = time.time(), None, 0
    while (done := (time.time() - begun) / 60 / arguments.minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = arguments.rate * rate_at(done, step, 0.4)
        with sdpa_kernel([SDPBackend.MATH]):
            found = losses(reader, predictor, queue.get(), arguments.steps)
        loss = sum(weight * loss for weight, (loss, _) in zip((1, 0.5, 0.25, 0.125), found))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(predictor.parameters(), 1.0)
        optimiser.step()
        shown = torch.tensor([right for _, right in found])
        average = shown if average is None else 0.96 * average + 0.04 * shown
        step += 1
        if step % 50 == 0:
            rights = " ".join(f"{right:.3f}" for right in average.tolist())
            print(f"{step} {done * arguments.minutes:.1f} min  loss {loss.item():.3f}  right {rights}", flush=True)
        if step % 200 == 0:
            save_file(predictor.published(config.num_hidden_layers), str(arguments.out / "mtp.safetensors"))
    save_file(predictor.published(config.num_hidden_layers), str(arguments.out / "mtp.safetensors"))
    worker.terminate()


def export(arguments: argparse.Namespace) -> None:
    """Adds the layer to a checkpoint, in bf16, in place of one that is there."""
    path = arguments.folder / "model.safetensors"
    config_path = arguments.folder / "config.json"
    config = json.loads(config_path.read_text())
    layer = PREFIX.format(config["text_config"]["num_hidden_layers"])
    weights = {name: tensor for name, tensor in load_file(str(path)).items() if not name.startswith(layer)}
    added = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in load_file(str(arguments.weights)).items()}
    save_file({**weights, **added}, str(path), metadata={"format": "pt"})
    path.chmod(0o644)
    config["text_config"]["num_nextn_predict_layers"] = 1
    config_path.write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("--out", type=Path, default=Path("run-mtp"))
    command.add_argument("--checkpoint", type=Path, default=HERE.parent / "checkpoint")
    command.add_argument("--minutes", type=float, default=20)
    command.add_argument("--batch", type=int, default=32)
    command.add_argument("--steps", type=int, default=3, help="draft steps from the layer's own output")
    command.add_argument("--rate", type=float, default=1e-3)
    command.add_argument("--threads", type=int, default=1)
    command.add_argument("--seed", type=int, default=5)
    command.set_defaults(run=train)
    command = commands.add_parser("export")
    command.add_argument("weights", type=Path)
    command.add_argument("folder", type=Path)
    command.set_defaults(run=export)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
