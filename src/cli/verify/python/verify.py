"""What Hugging Face transformers makes of a checkpoint, for `glimt verify` to hold glimt against.

    python verify.py MODEL OUT.safetensors [--image FILE] [--dtype bf16] [--revision REVISION]

MODEL is a folder or a model of the Hub; of a GGUF file the checkpoint that it was made of. `glimt verify MODEL --expected OUT.safetensors` reads the file, here or on another
machine. It holds the prompts with their pictures, token ids, pixels, positions, vision features, the logits behind each
prompt, and greedy tokens with the largest logits of each step: no weights and no paths. Weights are widened to float32 and
computed with in float32, unless --dtype says bf16, which takes half the memory.

Needs Python 3.10 with torch, transformers 5 and safetensors; torchvision, without which pictures are resized as Pillow does
and videos are left out.
"""

import argparse
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

FORMAT_VERSION = 1
STEPS = 32
LARGEST = 64  # logits that are kept of each step
INSTALL = "pip install torch torchvision transformers safetensors"
OLDEST_TRANSFORMERS = (5, 0)
BYTES = {"f32": 4, "bf16": 2}


def fail(sentence):
    """The one line that glimt shows."""
    sys.exit(f"verify: {sentence}")


def say(share, what):
    print(f"[{round(100 * share):3} %] {what}", file=sys.stderr, flush=True)


try:
    import numpy as np
    import torch
    import transformers
    from safetensors.numpy import save_file
except ImportError as error:
    fail(f"{sys.executable} has no package {error.name}: {INSTALL}")

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def version_of(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def first_line(error):
    """Without the places of this machine: what is written may be given to others."""
    text = str(error).strip().split("\n")[0]
    for place in sorted(PLACES, key=len, reverse=True):
        text = text.replace(place, PLACES[place])
    return f"{type(error).__name__}: {text[:300]}"


PLACES = {os.path.expanduser("~"): "~", os.getcwd(): ".", sys.prefix: "python"}
PLACES.pop(os.sep, None)


# The prompts. Pictures are drawn, so that nothing is to be downloaded and every decoder reads the same.


def drawn(width, height, seed):
    """u8 [height, width, 3]: a slope of colours, discs and stripes with hard edges, and some noise."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    picture = np.stack([255 * columns / width, 255 * rows / height, 128 + 96 * np.sin((rows + columns) / 23)], axis=-1)
    random = np.random.default_rng(seed)
    for _ in range(4):
        x, y, radius = random.uniform(0, width), random.uniform(0, height), random.uniform(8, min(width, height) / 3)
        picture[(columns - x) ** 2 + (rows - y) ** 2 < radius**2] = random.uniform(0, 255, 3)
    picture[(rows % 40 < 6) & (columns < width / 3)] = 16
    return (picture + random.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)


def video_frames():
    """u8 [frames, height, width, 3] and their rate: an odd number, of a picture that moves."""
    picture = drawn(236, 146, 7)
    return np.stack([np.roll(picture, 9 * index, axis=1) for index in range(5)]), 2.0


def text(words):
    return {"type": "text", "text": words}


def image(name):
    return {"type": "image", "image": name}


def cases(own_picture):
    """(name, the user's message, its pictures, its video with a rate); what stands in a message is the media's name."""
    frames, rate = video_frames()
    found = [
        ("text", [text("Where is the weather grey? Grüße aus 東京, it's 12345 o'clock 🙂")], {}, None),
        ("picture", [image("a"), text("What is shown in this picture?")], {"a": drawn(410, 290, 1)}, None),
        (
            "two pictures",
            [text("Compare the first\n"), image("a"), text(" with the second\n"), image("b"), text("Which is larger?")],
            {"a": drawn(301, 190, 2), "b": drawn(57, 213, 3)},
            None,
        ),
        ("video", [{"type": "video", "video": "v"}, text("What happens?")], {}, (frames, rate)),
    ]
    if own_picture is not None:
        found.append(("your picture", [image("a"), text("Text Recognition:")], {"a": own_picture}, None))
    return found


def read_picture(file):
    from PIL import Image

    try:
        return np.asarray(Image.open(file).convert("RGB"))
    except OSError as error:
        fail(f"--image can not be read ({first_line(error)})")


# The checkpoint.


def folder_of(model, revision):
    if Path(model).is_dir():
        if not (Path(model) / "config.json").exists():
            fail(f"{Path(model).name} has no config.json: transformers reads a checkpoint's folder, or a model of the Hub")
        return Path(model)
    try:
        from huggingface_hub import snapshot_download

        return Path(
            snapshot_download(model, revision=revision, allow_patterns=["*.json", "*.jinja", "*.safetensors", "*.txt"])
        )
    except Exception as error:  # noqa: BLE001: whatever is wrong with the address, the cache or the connection
        fail(f"{Path(model).name} is no folder, and no model that the Hub gives ({first_line(error)})")


def stored_bytes(folder, size):
    """Bytes that the weights take at `size` bytes an element."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with open(file, "rb") as opened:
            header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        for name, tensor in header.items():
            if name != "__metadata__":
                total += size * int(np.prod(tensor["shape"], dtype=np.int64))
    return total


def free_memory():
    """Bytes, or None where there is no telling."""
    try:
        lines = Path("/proc/meminfo").read_text().split("\n")
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        pass
    try:
        import psutil

        return psutil.virtual_memory().available
    except ImportError:
        return None


def require_memory(needed, dtype):
    free = free_memory()
    if free is None or needed < 0.95 * free:
        return
    less = f", or take half of it with --dtype bf16 (glimt's --judge-dtype bf16)" if dtype == "f32" else ""
    fail(
        f"the weights take {needed / 1e9:.1f} GB in {dtype} and {free / 1e9:.1f} GB are free: run this script on a larger "
        f"machine and give glimt its file with --expected{less}"
    )


def quantisation(folder):
    """(its name or None, the configuration that makes transformers widen the weights or None)."""
    config = json.loads((folder / "config.json").read_text())
    found = config.get("quantization_config") or {}
    for beside in ("quantize_config.json", "quant_config.json"):
        if not found and (folder / beside).exists():
            found = {"quant_method": "gptq"} | json.loads((folder / beside).read_text())
    if "quantization" in config:
        return "MLX", None
    method = found.get("quant_method")
    if method == "fp8":
        return method, transformers.FineGrainedFP8Config(dequantize=True)
    if method == "compressed-tensors":
        return method, transformers.CompressedTensorsConfig(run_compressed=False)
    return method, None


class Unreadable(Exception):
    """Weights that transformers does not give as plain numbers here; the message says why."""


def load(folder, dtype):
    method, widened = quantisation(folder)
    if method is not None and widened is None:
        raise Unreadable(f"transformers does not widen {method} weights to plain numbers")
    require_memory(stored_bytes(folder, BYTES[dtype]), dtype)
    more = {} if widened is None else {"quantization_config": widened}
    try:
        model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=DTYPES[dtype], **more).eval()
    except (AttributeError, ImportError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        if method is not None:
            raise Unreadable(f"{method} weights can not be widened here ({first_line(error)})") from error
        fail(f"transformers {transformers.__version__} can not load this model ({first_line(error)}); newest: {INSTALL} -U")
    if any(parameter.dtype.itemsize == 1 for parameter in model.parameters()):
        raise Unreadable(f"transformers left {method} weights in 8 bits")
    return model


def open_processor(folder):
    """Without torchvision one for pictures alone, which resizes as Pillow does."""
    try:
        if find_spec("torchvision") is not None:
            return transformers.AutoProcessor.from_pretrained(folder)
        return pictures_only(folder)
    except (AttributeError, ImportError, OSError, ValueError, KeyError, RuntimeError) as error:
        fail(f"transformers {transformers.__version__} has no processor for this model here ({first_line(error)}); {INSTALL} -U")


def pictures_only(folder):
    files = ["processor_config.json", "preprocessor_config.json", "tokenizer_config.json"]
    configs = [json.loads((folder / name).read_text()) for name in files if (folder / name).exists()]
    name = next(config["processor_class"] for config in configs if "processor_class" in config)

    class PicturesOnly(getattr(transformers, name)):
        def check_argument_for_proper_class(self, argument_name, argument):
            if argument_name != "video_processor":
                super().check_argument_for_proper_class(argument_name, argument)

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    images = transformers.AutoImageProcessor.from_pretrained(folder)
    return PicturesOnly(images, tokenizer, None, chat_template=tokenizer.chat_template)


def rounding_of(processor):
    names = [kind.__name__ for kind in type(processor.image_processor).__mro__]
    return "torchvision" if any("Torchvision" in name or name.endswith("Fast") for name in names) else "pillow"


# What is recorded.


class Watch:
    """What the model gives its decoder: positions, and embeddings with the features in place."""

    def __init__(self, model):
        self.hook = model.model.language_model.register_forward_pre_hook(self.look, with_kwargs=True)

    def look(self, _module, _arguments, given):
        self.positions, self.embeddings = given.get("position_ids"), given.get("inputs_embeds")

    def three_axes(self, length):
        if self.positions is None:
            return torch.arange(length).expand(3, length)
        found = self.positions
        if found.ndim == 2:
            return found[0].expand(3, length)
        # A fourth axis before the three is that of packed texts.
        return found[-3:, 0]


def processed(processor, message, images, video):
    """(prompt text, tensors)."""
    messages = [{"role": "user", "content": message}]
    prompt = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    media = {}
    if images:
        media["images"] = list(images.values())
    if video is not None:
        frames, rate = video
        metadata = {"fps": rate, "total_num_frames": len(frames), "duration": len(frames) / rate}
        media |= {"videos": [frames], "video_metadata": [metadata]}
    return prompt, processor(text=[prompt], return_tensors="pt", **media)


def array(tensor, kind):
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy() if kind == "f32" else tensor.detach().cpu().numpy().astype(np.int32))


@torch.inference_mode()
def run(model, watch, inputs, tell):
    """Tensors by name: features, positions, logits behind the prompt, and greedy tokens with what is near them."""
    model.model.rope_deltas = None
    ids = inputs["input_ids"][0]
    output = model(**inputs, use_cache=True, logits_to_keep=1)
    positions = watch.three_axes(len(ids))
    found = {"positionIds": array(positions, "i32")}
    media = inputs["mm_token_type_ids"][0] != 0
    if media.any():
        found["features"] = array(watch.embeddings[0][media], "f32")
    logits = output.logits[0, -1].float()
    found["lastLogits"] = array(logits, "f32")
    delta = int(positions.max()) + 1 - len(ids)
    steps = {"greedyIds": [], "topIds": [], "topLogits": [], "norms": []}
    for step in range(STEPS):
        top = torch.topk(logits, min(LARGEST, len(logits)))
        steps["greedyIds"].append(top.indices[0])
        steps["topIds"].append(top.indices)
        steps["topLogits"].append(top.values)
        steps["norms"].append(logits.norm())
        tell((step + 1) / STEPS)
        if step + 1 == STEPS:
            break
        output = model(
            input_ids=top.indices[:1][None],
            position_ids=torch.full((3, 1, 1), len(ids) + step + delta),
            past_key_values=output.past_key_values,
            use_cache=True,
        )
        logits = output.logits[0, -1].float()
    kinds = {"greedyIds": "i32", "topIds": "i32", "topLogits": "f32", "norms": "f32"}
    return found | {name: array(torch.stack(values), kinds[name]) for name, values in steps.items()}


def record(processor, model, own_picture):
    """(a description of each case, tensors of all by CASE/NAME)."""
    described, tensors = [], {}
    watch = model and Watch(model)
    all_cases = cases(own_picture)
    for index, (name, message, images, video) in enumerate(all_cases):
        about = {"name": name, "message": message, "skipped": None}
        described.append(about)
        begin = 0.2 + 0.8 * index / len(all_cases)
        say(begin, f"{name}: reading the prompt")
        try:
            if video is not None and processor.video_processor is None:
                raise ImportError("torchvision is not installed")
            prompt, inputs = processed(processor, message, images, video)
        except Exception as error:  # noqa: BLE001: a processor without videos says so in many ways
            if name != "video":
                raise
            about["skipped"] = f"transformers does not process videos for this model here ({first_line(error)})"
            continue
        grids = {key: inputs[key].tolist() if key in inputs else [] for key in ("image_grid_thw", "video_grid_thw")}
        about |= {"promptText": prompt, "imageGridThw": grids["image_grid_thw"], "videoGridThw": grids["video_grid_thw"]}
        if "mm_token_type_ids" not in inputs:
            fail(f"transformers {transformers.__version__} is too old: {INSTALL} -U")
        found = {"inputIds": array(inputs["input_ids"][0], "i32"), "tokenTypes": array(inputs["mm_token_type_ids"][0], "i32")}
        for key, own in (("pixel_values", "pixelValues"), ("pixel_values_videos", "pixelValuesVideos")):
            if key in inputs:
                found[own] = array(inputs[key], "f32")
        found |= {f"media/{key}": picture for key, picture in images.items()}
        if video is not None:
            found["media/v"], about["fps"] = video
        if model is not None:
            tell = lambda share, name=name, begin=begin: say(begin + 0.8 * share / len(all_cases), f"{name}: answering")  # noqa: E731
            found |= run(model, watch, inputs, tell)
        tensors |= {f"{name}/{key}": value for key, value in found.items()}
    return described, tensors


def processor_name():
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n")
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--image", help="a picture of your own, asked about beside those that are drawn")
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="what transformers computes in (default: f32)")
    parser.add_argument("--revision", help="of a model of the Hub")
    options = parser.parse_args()

    if tuple(int(part) for part in transformers.__version__.split(".")[:2]) < OLDEST_TRANSFORMERS:
        fail(f"transformers {transformers.__version__} is too old: {INSTALL} -U")
    torch.use_deterministic_algorithms(True, warn_only=True)
    own_picture = None if options.image is None else read_picture(options.image)
    folder = folder_of(options.model, options.revision)
    PLACES.update({str(place): Path(options.model).name for place in (folder, folder.resolve())})
    say(0, "opening the tokenizer and the processor")
    processor = open_processor(folder)
    say(0.02, "loading the weights")
    model, refused = None, None
    try:
        model = load(folder, options.dtype)
    except Unreadable as error:
        refused = str(error)
    described, tensors = record(processor, model, own_picture)
    packages = ("torch", "torchvision", "transformers", "tokenizers", "safetensors", "numpy", "pillow")
    about = {
        "version": FORMAT_VERSION,
        "dtype": options.dtype,
        "refused": refused,
        "rounding": rounding_of(processor),
        "python": {"python": platform.python_version(), **{name: version_of(name) for name in packages}},
        "host": {"cpu": processor_name(), "system": f"{platform.system()} {platform.machine()}", "threads": torch.get_num_threads()},
        "cases": described,
    }
    part = options.out.with_name(f"{options.out.name}.part")
    tensors["about"] = np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), np.uint8)
    save_file(tensors, part)
    os.replace(part, options.out)
    say(1, "done")


if __name__ == "__main__":
    try:
        main()
    except MemoryError:
        fail("memory ran out: run this script on a larger machine, or with --dtype bf16")
    except KeyboardInterrupt:
        sys.exit(130)
