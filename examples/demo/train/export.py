"""Turns a run's float32 weights into the committed checkpoint: bf16, with tokenizer and configuration.

    python export.py run/model.safetensors ../checkpoint

The files that no training changes (chat template, processor configurations)
already lie in the checkpoint's folder.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from make_tokenizer import build_tokenizer, tokenizer_config
from model import END_IDS, build_config


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def write_weights(source: Path, folder: Path) -> None:
    weights = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in load_file(str(source)).items()}
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def write_configuration(folder: Path) -> None:
    config = build_config()
    config.architectures = ["GlmOcrForConditionalGeneration"]
    config.dtype = torch.bfloat16
    config.save_pretrained(folder)
    generation = dict(do_sample=False, eos_token_id=END_IDS, pad_token_id=END_IDS[0])
    write_json(folder / "generation_config.json", generation)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="model.safetensors of a run")
    parser.add_argument("folder", type=Path, help="checkpoint folder")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    write_weights(arguments.weights, arguments.folder)
    write_configuration(arguments.folder)
    build_tokenizer().save(str(arguments.folder / "tokenizer.json"))
    write_json(arguments.folder / "tokenizer_config.json", tokenizer_config())


if __name__ == "__main__":
    main()
