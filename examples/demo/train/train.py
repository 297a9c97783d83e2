"""Trains the demo's reader on rendered text lines; two CPU cores are enough.

    python train.py --out run --minutes 100
    python train.py --out run --minutes 60 --resume run/state.pt

A fresh run first trains the vision tower alone on its auxiliary labels
(--vision-steps), then everything. Pictures of several lines come in gradually:
a sudden change of the canvases costs most of what was learnt.

The run's folder gets `state.pt` (to resume) and `model.safetensors` (float32)
regularly; `export.py` turns the latter into the bf16 checkpoint.
"""

import argparse
import math
import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import model as parts
from model import CHARACTERS, COLUMNS, IGNORE, INDICES, PATCH, SLOTS, Reader
from render import CANVASES, CELL, Picture, Renderer

CLASS_OF = {character: index + 1 for index, character in enumerate(CHARACTERS)}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--minutes", type=float, default=100, help="stop, cooled down, after so long")
    parser.add_argument("--steps", type=int, default=20000, help="or after so many steps of this run")
    parser.add_argument("--vision-steps", type=int, default=1500, help="of a fresh run: vision tower alone")
    parser.add_argument("--batch", type=int, default=64, help="pictures of 224 x 28 a step")
    parser.add_argument("--rate", type=float, default=8e-4, help="peak learning rate")
    parser.add_argument("--hold", type=float, default=0.5, help="share of the run at the peak before cooling")
    parser.add_argument("--auxiliary", type=float, default=0.5, help="weight of the auxiliary losses")
    parser.add_argument("--ramp", type=int, default=1000, help="steps over which many lines come in")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="begin from the weights of this checkpoint folder")
    parser.add_argument("--resume", type=Path, help="continue from this state.pt")
    return parser.parse_args()


# ---------------------------------------------------------------- batches


def pick_canvas(renderer: Renderer, progress: float) -> tuple[int, int, int]:
    """(width, height, lines): mostly one line at first, three kinds of pictures at last."""
    chance = renderer.random.random()
    many = 0.1 + 0.6 * min(1.0, progress)
    lines = 1 if chance > many else 2 if chance > many * 0.6 else 3
    width, height = renderer.random.choice(CANVASES[lines])
    return width, height, lines


def cell_labels(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """For each 28 x 28 cell: its characters in order, and the line position of the first."""
    height, width = picture.pixels.shape
    rows, columns = height // CELL, width // CELL
    slots = np.zeros((rows * columns, SLOTS), np.int64)
    first = np.full(rows * columns, IGNORE, np.int64)
    filled = np.zeros(rows * columns, np.int64)
    for line in picture.lines:
        for position, glyph in enumerate(line):
            row = int(glyph.top + (glyph.bottom - glyph.top) * 0.52) // CELL
            column = int((glyph.left + glyph.right) / 2) // CELL
            cell = min(rows - 1, max(0, row)) * columns + min(columns - 1, column)
            if filled[cell] == 0:
                first[cell] = min(INDICES - 1, position)
            if filled[cell] < SLOTS:
                slots[cell, filled[cell]] = CLASS_OF[glyph.character]
            filled[cell] += 1
    return slots, first


def column_labels(picture: Picture) -> np.ndarray:
    """The character at every 3.5 pixels of every patch row, in merge-block order."""
    height, width = picture.pixels.shape
    rows, columns = height // CELL, width // CELL
    centres_y = np.arange(rows * 2) * PATCH + PATCH / 2
    centres_x = (np.arange(columns * 2 * COLUMNS) + 0.5) * PATCH / COLUMNS
    labels = np.zeros((rows * 2, columns * 2 * COLUMNS), np.int64)
    for line in picture.lines:
        top, tall = line[0].top, line[0].bottom - line[0].top
        inside = (centres_y > top + 0.12 * tall) & (centres_y < top + 0.92 * tall)
        near = (centres_y > top - 1) & (centres_y < top + tall + 1) & ~inside
        across = np.zeros(len(centres_x), np.int64)
        for glyph in line:
            across[(centres_x >= glyph.left) & (centres_x < glyph.right)] = CLASS_OF[glyph.character]
        labels[near] = IGNORE
        labels[inside] = across
    blocks = labels.reshape(rows, 2, columns, 2, COLUMNS)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(-1, COLUMNS)


def to_patches(pixels: np.ndarray) -> np.ndarray:
    """(pictures, height, width) -> (patches, 196), patches in merge-block order."""
    count, height, width = pixels.shape
    blocks = pixels.reshape(count, height // CELL, 2, PATCH, width // CELL, 2, PATCH)
    return np.ascontiguousarray(blocks.transpose(0, 1, 4, 2, 5, 3, 6).reshape(-1, PATCH * PATCH))


def to_targets(texts: list[str]) -> np.ndarray:
    """Token ids of the transcriptions, each ended by <|user|>, padded with IGNORE."""
    rows = [parts.tokenizer.encode(text).ids + [parts.TOKEN["<|user|>"]] for text in texts]
    targets = np.full((len(rows), max(map(len, rows))), IGNORE, np.int64)
    for target, row in zip(targets, rows):
        target[: len(row)] = row
    return targets


def make_batch(renderer: Renderer, batch: int, progress: float) -> dict:
    """Pictures of one canvas, about as many pixels in every batch."""
    width, height, lines = pick_canvas(renderer, progress)
    count = max(24, batch * 224 * 28 // (width * height) // 8 * 8)
    pictures = [renderer.picture(width, height, lines) for _ in range(count)]
    slots, first = zip(*(cell_labels(picture) for picture in pictures))
    return dict(
        rows=height // PATCH,
        columns=width // PATCH,
        grey=to_patches(np.stack([picture.pixels for picture in pictures])),
        target=to_targets([picture.text for picture in pictures]),
        labels=(
            np.concatenate(slots),
            np.concatenate(first),
            np.concatenate([column_labels(picture) for picture in pictures]),
        ),
    )


def produce(queue, seed: int, batch: int, first: int, last: int, ramp_from: int, ramp: int) -> None:
    """The renderer's process: one batch for each step."""
    torch.set_num_threads(1)
    renderer = Renderer(seed)
    for step in range(first, last):
        queue.put(make_batch(renderer, batch, max(0, step - ramp_from) / ramp))


# ---------------------------------------------------------------- the run


def make_optimiser(reader: Reader) -> torch.optim.Optimizer:
    decayed, plain = [], []
    for name, parameter in reader.trainable():
        matrix = parameter.ndim >= 2 and "embed_tokens" not in name
        (decayed if matrix else plain).append(parameter)
    groups = [dict(params=decayed, weight_decay=0.03), dict(params=plain, weight_decay=0.0)]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-8, fused=True)


def rate_at(done: float, step: int, hold: float) -> float:
    """Share of the peak rate: warm up, hold, then a cosine down to 2 %."""
    warm = min(1.0, (step + 1) / 150)
    if done < hold:
        return warm
    return warm * max(0.02, math.cos(math.pi / 2 * (done - hold) / (1 - hold)))


def save(reader: Reader, optimiser, step: int, folder: Path) -> None:
    """Writes the resumable state and the float32 weights."""
    folder.mkdir(parents=True, exist_ok=True)
    state = dict(reader=reader.state_dict(), optimiser=optimiser.state_dict(), step=step)
    torch.save(state, folder / "state.tmp")
    (folder / "state.tmp").replace(folder / "state.pt")
    reader.write_convolution()
    weights = {name: tensor.contiguous() for name, tensor in reader.model.state_dict().items()}
    save_file(weights, str(folder / "model.tmp"), metadata={"format": "pt"})
    (folder / "model.tmp").replace(folder / "model.safetensors")


def load(reader: Reader, optimiser, arguments) -> int:
    """Starts fresh, from a checkpoint's weights, or from a state; returns the step reached."""
    if arguments.resume:
        state = torch.load(arguments.resume, weights_only=True)
        reader.load_state_dict(state["reader"])
        optimiser.load_state_dict(state["optimiser"])
        return state["step"]
    if arguments.start:
        weights = load_file(str(arguments.start / "model.safetensors"))
        reader.model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        reader.read_convolution()
        return 0
    sample = make_batch(Renderer(arguments.seed), 16, 0.0)
    reader.balance(torch.from_numpy(sample["grey"]), sample["rows"], sample["columns"])
    return 0


def train_step(reader: Reader, batch: dict, auxiliary: float, vision_only: bool):
    """The loss of one batch and what the log shows."""
    rows, columns = batch["rows"], batch["columns"]
    labels = [torch.from_numpy(label) for label in batch["labels"]]
    # For sequences this short the plain attention is the quicker one on a CPU.
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel([SDPBackend.MATH]):
        hidden, tokens = reader.see(torch.from_numpy(batch["grey"]), rows, columns)
        aux, cells = reader.auxiliary_loss(hidden, tokens, labels)
        if vision_only:
            return aux, (aux.item(), cells, 0.0, 0.0)
        text, right = reader.text_loss(tokens, rows, columns, torch.from_numpy(batch["target"]))
    return text + auxiliary * aux, (aux.item(), cells, text.item(), right)


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    reader = Reader()
    optimiser = make_optimiser(reader)
    first = load(reader, optimiser, arguments)
    vision_steps = 0 if arguments.start else arguments.vision_steps
    last = first + arguments.steps
    context = multiprocessing.get_context("fork")
    queue = context.Queue(8)
    source = (queue, arguments.seed + 1 + first, arguments.batch, first, last, vision_steps, arguments.ramp)
    worker = context.Process(target=produce, args=source, daemon=True)
    worker.start()
    print("parameters", sum(p.numel() for p in reader.model.parameters()), "from step", first, flush=True)
    begun, average, reached = time.time(), None, first
    for step in range(first, last):
        minutes = (time.time() - begun) / 60
        done = max((step - first) / arguments.steps, minutes / arguments.minutes)
        if done >= 1:
            break
        rate = arguments.rate * rate_at(done, step - first, arguments.hold)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, shown = train_step(reader, queue.get(), arguments.auxiliary, step < vision_steps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for _, p in reader.trainable()], 1.0)
        optimiser.step()
        reached = step + 1
        average = np.array(shown) if average is None else 0.96 * average + 0.04 * np.array(shown)
        if step % 50 == 49:
            aux, cells, text, right = average
            print(
                f"{step + 1} {minutes:.1f} min  aux {aux:.3f} cells {cells:.4f}"
                f"  text {text:.4f} right {right:.4f}  rate {rate:.6f}",
                flush=True,
            )
        if step % 500 == 499:
            save(reader, optimiser, reached, arguments.out)
    save(reader, optimiser, reached, arguments.out)
    worker.terminate()


if __name__ == "__main__":
    main()
