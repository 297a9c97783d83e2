"""Measures a reader of text pictures.

    python evaluate.py render fresh --count 240 --seed 777
    python evaluate.py hf fresh --checkpoint ../checkpoint --out hf.jsonl
    python evaluate.py score fresh hf.jsonl
    python evaluate.py score fresh hf.jsonl --compare glimt.jsonl

`render` writes pictures and `truth.jsonl`; `hf` reads them with transformers
(float32, greedy); `score` compares predictions with the truth. Predictions are
JSON lines {"file", "text"}, from whatever program; `--compare` demands that a
second one read every picture the same, and exits with 1 where it did not.
"""

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROMPT = "Text Recognition:"
KINDS = ("words", "numbers")


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


# ---------------------------------------------------------------- render


def render(arguments: argparse.Namespace) -> None:
    """Fresh pictures, in turn of one to three lines, of words and of numbers."""
    from render import Renderer, load_words

    arguments.folder.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(arguments.seed, load_words(arguments.words) if arguments.words else None)
    rows = []
    for index in range(arguments.count):
        lines, kind = 1 + index % 3, KINDS[index // 3 % len(KINDS)]
        picture = renderer.any_picture(lines, kind)
        name = f"{index:04d}-{lines}-{kind}.png"
        picture.image().save(arguments.folder / name)
        rows.append(dict(file=name, text=picture.text, lines=lines, kind=kind))
    write_lines(arguments.folder / "truth.jsonl", rows)


# ---------------------------------------------------------------- hf


def hf(arguments: argparse.Namespace) -> None:
    """Reads every picture of the folder with transformers, one at a time."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.set_num_threads(arguments.threads)
    processor = AutoProcessor.from_pretrained(arguments.checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(arguments.checkpoint, dtype=torch.float32).eval()
    rows = []
    for path in list_pictures(arguments.folder):
        content = [{"type": "image", "image": Image.open(path)}, {"type": "text", "text": PROMPT}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            output = model.generate(**inputs, do_sample=False, max_new_tokens=arguments.tokens)
        answer = output[0, inputs["input_ids"].shape[1] :]
        rows.append(dict(file=path.name, text=processor.decode(answer, skip_special_tokens=True)))
    write_lines(arguments.out, rows)


def list_pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg", ".jpeg"))


# ---------------------------------------------------------------- score


def edit_distance(first: str, second: str) -> int:
    """Insertions, deletions and replacements between two strings."""
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, 1):
        previous, row = row, [i]
        for j, right in enumerate(second, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (left != right)))
    return row[-1]


def tally(truth: list[dict], read: dict[str, str]) -> dict[str, list[int]]:
    """For each group: pictures, exact ones, characters, wrong characters."""
    groups: dict[str, list[int]] = {}
    for row in truth:
        answer, text = read[row["file"]], row["text"]
        wrong = min(len(text), edit_distance(answer, text))
        lines, kind = row.get("lines", text.count("\n") + 1), row.get("kind", "text")
        for key in (f"{lines} line {kind}", f"{lines} line", kind, "all"):
            group = groups.setdefault(key, [0, 0, 0, 0])
            for place, amount in enumerate((1, answer == text, len(text), wrong)):
                group[place] += amount
    return groups


def print_scores(title: str, groups: dict[str, list[int]]) -> None:
    print(title)
    print(f"  {'':16s}{'pictures':>9s}{'exact':>9s}{'characters':>12s}")
    for key, (count, exact, characters, wrong) in sorted(groups.items(), key=lambda item: (item[0] == "all", item[0])):
        print(f"  {key:16s}{count:9d}{exact / count:9.3f}{1 - wrong / characters:12.4f}")


def score(arguments: argparse.Namespace) -> None:
    """Prints the scores, the mistakes on request, and where two readers differ."""
    truth = read_lines(arguments.folder / "truth.jsonl")
    read = {row["file"]: row["text"] for row in read_lines(arguments.predictions)}
    print_scores(arguments.predictions.name, tally(truth, read))
    if arguments.mistakes:
        for row in truth:
            if read[row["file"]] != row["text"]:
                print(f"  {row['file']}  {row['text']!r} -> {read[row['file']]!r}")
    if arguments.compare:
        other = {row["file"]: row["text"] for row in read_lines(arguments.compare)}
        print_scores(arguments.compare.name, tally(truth, other))
        different = [row["file"] for row in truth if read[row["file"]] != other[row["file"]]]
        print(f"{len(truth) - len(different)} of {len(truth)} identical")
        for name in different:
            print(f"  {name}  {read[name]!r} / {other[name]!r}")
        sys.exit(1 if different else 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("render", help="write fresh pictures and their truth")
    command.add_argument("folder", type=Path)
    command.add_argument("--count", type=int, default=240)
    command.add_argument("--seed", type=int, default=777)
    command.add_argument("--words", type=Path, help="another word list than the one of the training")
    command.set_defaults(run=render)
    command = commands.add_parser("hf", help="read a folder of pictures with transformers")
    command.add_argument("folder", type=Path)
    command.add_argument("--checkpoint", type=Path, default=HERE.parent / "checkpoint")
    command.add_argument("--out", type=Path, default=Path("hf.jsonl"))
    command.add_argument("--tokens", type=int, default=96)
    command.add_argument("--threads", type=int, default=1)
    command.set_defaults(run=hf)
    command = commands.add_parser("score", help="score predictions against truth.jsonl")
    command.add_argument("folder", type=Path)
    command.add_argument("predictions", type=Path)
    command.add_argument("--compare", type=Path, help="predictions of a second reader, which must be identical")
    command.add_argument("--mistakes", action="store_true", help="list what was misread")
    command.set_defaults(run=score)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
