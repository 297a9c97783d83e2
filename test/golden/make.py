"""Remakes everything under test/golden/data: `python test/golden/make.py` (see README.md beside it).

Tiny random checkpoints in the published format, and for each of them conversations with what Hugging Face
transformers makes of them, stage by stage. Then the tables of single parts, by the make_*.py scripts beside this one.
Deterministic: the seeds are in specs.py.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import layouts  # noqa: E402
import pictures  # noqa: E402
from cases import MAX_NEW_TOKENS, cases_for  # noqa: E402
from checks import check_case, check_checkpoint  # noqa: E402
from record import greedy, process, record  # noqa: E402
from specs import specs  # noqa: E402

TORCH_DTYPE = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def weights(spec, seed):
    """name -> tensor in the stored dtype."""
    config = spec.files["config.json"]
    shapes, tied = layouts.tensor_shapes(config), config["tie_word_embeddings"]
    values = {name: layouts.random_values(name, shape, seed, tied) for name, shape in shapes.items()}
    quieten_special_tokens(values[output_rows(spec)], spec)
    if spec.mtp_layer:
        extra = layouts.mtp_layer(config["model_type"], config["text_config"])
        values |= {name: layouts.random_values(name, shape, seed) for name, shape in extra.items()}
    keep = ("e_score_correction_bias",)
    return {
        name: torch.from_numpy(value).to(torch.float32 if name.endswith(keep) else TORCH_DTYPE[spec.dtype])
        for name, value in values.items()
    }


def output_rows(spec):
    tied = spec.files["config.json"]["tie_word_embeddings"]
    return "model.language_model.embed_tokens.weight" if tied else "lm_head.weight"


def quieten_special_tokens(head, spec):
    """Rows of special and unused ids are shrunk, so that a random model writes text rather than control tokens."""
    first = min(token["id"] for token in spec.files["tokenizer.json"]["added_tokens"])
    head[first:] *= 0.2


def write_checkpoint(spec, tensors, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in spec.files.items():
        body = content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (folder / name).write_text(body)
    metadata = {"format": "pt"}
    if spec.shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata)
        return
    names, weight_map = list(tensors), {}
    size = sum(tensor.nbytes for tensor in tensors.values())
    shards, filled = [{} for _ in range(spec.shards)], 0
    for name in names:
        shards[min(spec.shards - 1, filled * spec.shards // size)][name] = tensors[name]
        filled += tensors[name].nbytes
    for index, shard in enumerate(shards):
        file = f"model-{index + 1:05d}-of-{spec.shards:05d}.safetensors"
        save_file(shard, folder / file, metadata)
        weight_map |= dict.fromkeys(shard, file)
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def load(spec, folder):
    """The model in float32, the processor (torchvision, the default) and the image processor on Pillow."""
    model, report = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager", output_loading_info=True
    )
    config = spec.files["config.json"]
    extra = set(layouts.mtp_layer(config["model_type"], config["text_config"])) if spec.mtp_layer else set()
    assert not report["missing_keys"] and not report["mismatched_keys"], report
    assert set(report["unexpected_keys"]) == extra, report["unexpected_keys"]
    processor = AutoProcessor.from_pretrained(folder)
    assert "torchvision" in type(processor.image_processor).__mro__[1].__name__.lower(), type(processor.image_processor)
    pillow = AutoImageProcessor.from_pretrained(folder, backend="pil")
    assert type(pillow).__name__.endswith("Pil"), type(pillow)
    return model.eval(), processor, pillow


def make_one(spec, data, seed):
    """Writes the checkpoint and its cases; returns what is wrong with them. What was there stays until all is done."""
    folder = data / f".{spec.name}.new"
    shutil.rmtree(folder, ignore_errors=True)
    tensors = weights(spec, seed)
    write_checkpoint(spec, tensors, folder)
    model, processor, pillow = load(spec, folder)
    cases = cases_for(spec.name)
    if spec.stop_case and not end_early(spec, tensors, model, processor, cases, data):
        shutil.rmtree(folder)
        return [f"{spec.stop_case}: no token to stop at"]
    write_checkpoint(spec, tensors, folder)
    model, processor, pillow = load(spec, folder)
    problems = check_checkpoint(spec, model)
    for case in cases:
        result = record(spec, case, model, processor, pillow, data, folder / "cases")
        entry = result["entry"]
        problems += check_case(spec, model, case, result)
        print(
            f"  {case.name:12} tokens {len(entry['inputIds']):4}  grids {entry['imageGridThw'] + entry['videoGridThw']}"
            f"  delta {entry['ropeDelta']:4}  least margin {min(result['margins']):.3f}"
            f"  {entry['finishReason']} after {len(entry['tokenIds'])}  {entry['text'][:40]!r}"
        )
        if problems:
            break
    shutil.rmtree(data / spec.name, ignore_errors=True)
    folder.rename(data / spec.name)
    return problems


def end_early(spec, tensors, model, processor, cases, data):
    """Makes `spec.stop_case` reach an eos: exchanges the output rows of <|user|> and of a token that only this case writes."""
    written = {case.name: greedy(model, process(processor, case, data)[1], MAX_NEW_TOKENS)[0] for case in cases}
    stopping = written.pop(spec.stop_case)
    elsewhere = {token for ids in written.values() for token in ids}
    for index in range(8, 20):
        token = stopping[index]
        if token not in elsewhere and token not in stopping[:index]:
            pair = [token, spec.eos[1]]
            head = tensors[output_rows(spec)]
            head[pair] = head[pair[::-1]].clone()
            return True
    return False


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=HERE / "data", help="where to write")
    arguments.add_argument("--only", help="remake this checkpoint alone")
    arguments.add_argument("--search", type=int, default=0, help="try this many seeds; keeps the first good one")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    pictures.draw_all(options.data / "images")
    pictures.film_all(options.data / "videos")
    failed = []
    for spec in specs():
        if options.only and options.only != spec.name:
            continue
        for seed in range(spec.seed, spec.seed + max(1, options.search)):
            print(f"{spec.name}, seed {seed}")
            problems = make_one(spec, options.data, seed)
            if not problems:
                break
            print("  NOT GOOD: " + "; ".join(problems))
        failed += problems
    if not options.only and options.data == HERE / "data":
        for script in sorted(HERE.glob("make_*.py")):
            print(script.name)
            subprocess.run([sys.executable, script], check=True)
    size = sum(file.stat().st_size for file in options.data.rglob("*") if file.is_file())
    print(f"{size / 1e6:.2f} MB in {options.data}; transformers {transformers.__version__}, torch {torch.__version__}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
