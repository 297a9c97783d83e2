"""Writes data/gguf: the tiny checkpoints as GGUF files with their vision towers, what transformers makes of the quantised
one's dequantised weights, and blocks of every type with the values that the gguf package reads in them.
Run: python test/golden/make_gguf.py
"""

import base64
import hashlib
import json
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf.constants import GGML_QUANT_SIZES
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import layouts  # noqa: E402
from gguf_files import (  # noqa: E402
    F32,
    Checkpoint,
    Tensor,
    converter_type,
    text_tensors,
    vision_tensors,
    write_sampling,
    write_tensors,
    write_text_settings,
    write_vision_settings,
    write_vocabulary,
)
from record import greedy, prefill, recorded_inputs  # noqa: E402

DATA = HERE / "data"
OUT = DATA / "gguf"
KIND = gguf.GGMLQuantizationType
FILE_TYPES = {KIND.F16: gguf.LlamaFileType.MOSTLY_F16, KIND.BF16: gguf.LlamaFileType.MOSTLY_BF16}
# Name of the checkpoint, the model's name in the file, its type: that of the checkpoint, so that no bit is lost.
PLAIN = [
    ("glm46v-flash-tiny", "GLM-4.6V-Flash", KIND.F16),
    ("glm_ocr-tiny", "GLM-OCR", KIND.BF16),
    ("glm4v_moe-tiny", "GLM-4.5V", KIND.BF16),
]
QUANTISED = "glm4v-tiny"
# Types of 32 values a block, by the last part of a tensor's name: rows of tiny models have no 256.
MIX = {
    "token_embd": KIND.Q8_0,
    "output": KIND.Q8_0,
    "attn_q": KIND.Q4_0,
    "attn_k": KIND.Q5_1,
    "attn_v": KIND.Q5_0,
    "attn_output": KIND.Q4_1,
    "ffn_up": KIND.Q4_0,
    "ffn_down": KIND.Q5_0,
}
# Of this one the MLPs are padded with zeros to the 256 columns that blocks of K types have, as publishers do.
PADDED, PADDED_WIDTH, PADDED_STEM = "glm46v-flash-tiny", 256, "glm46v-flash-padded"
DOWN_KINDS = {"blk.0.ffn_down.weight": KIND.Q4_K, "blk.1.ffn_down.weight": KIND.Q6_K}
BLOCKS_SEED = 40
# With a layer for multi-token prediction, which the checkpoint of this family has not.
WITH_MTP, MTP_STEM, MTP_SEED = "glm4v_moe-tiny", "glm4v_moe-mtp", 31
TOKENS = 12
LEAST_MARGIN = 0.01
BLOCK_TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]
# Where halves are in a block, which must be numbers.
SCALES = {"Q4_1": [0, 2], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q6_K": [208]}


def pack(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def preprocessor_of(folder):
    own = folder / "preprocessor_config.json"
    if own.exists():
        return json.loads(own.read_text())
    return json.loads((folder / "processor_config.json").read_text())["image_processor"]


def limits_of(preprocessor):
    """Pixels of one frame."""
    size, frames = preprocessor["size"], preprocessor["temporal_patch_size"]
    return size["shortest_edge"] // frames, size["longest_edge"] // frames


def write_pair(checkpoint, name, file_type, type_of, stem, split=0):
    writer = gguf.GGUFWriter(OUT / f"{stem}.gguf", checkpoint.architecture, split_max_tensors=split)
    writer.add_name(name)
    write_text_settings(writer, checkpoint, file_type)
    write_sampling(writer, json.loads((checkpoint.folder / "generation_config.json").read_text()))
    write_vocabulary(writer, checkpoint)
    writer.add_chat_template((checkpoint.folder / "chat_template.jinja").read_text())
    write_tensors(writer, text_tensors(checkpoint), type_of)
    preprocessor = preprocessor_of(checkpoint.folder)
    writer = gguf.GGUFWriter(OUT / f"mmproj-{stem}.gguf", "clip")
    writer.add_name(name)
    write_vision_settings(writer, checkpoint, file_type, preprocessor, limits_of(preprocessor))
    write_tensors(writer, vision_tensors(checkpoint), type_of)


class Blocks(Tensor):
    """Random blocks of a K type, which the gguf package reads and does not write, of values about as large as `like`."""

    def __init__(self, name, like, kind, cols):
        elements, size = GGML_QUANT_SIZES[kind]
        random = np.random.default_rng(BLOCKS_SEED + kind)
        data = random.integers(0, 256, size=(like.shape[0], cols // elements, size), dtype=np.uint8)
        deviation = float(like.std())
        # d, and for Q4_K the scale of what is taken off: 7.5 d, the middle of 4 bits.
        scales = [deviation / 180, 7.5 * deviation / 180] if kind == KIND.Q4_K else [deviation / 1400]
        for at, scale in zip(SCALES[kind.name], scales):
            data[..., at : at + 2] = np.full(data.shape[:2], scale, np.float16).view(np.uint8).reshape(*data.shape[:2], 2)
        self.data = data.reshape(like.shape[0], -1)
        super().__init__(name, [like.shape[0], cols], lambda: gguf.dequantize(self.data, kind))

    def stored(self, _kind):
        return self.data


def padded_tensors(checkpoint):
    """(those of the file, the values of the ones that are others than the checkpoint's, by published name)."""
    width = checkpoint.config["text_config"]["intermediate_size"]
    found, values = [], {}
    for tensor in text_tensors(checkpoint):
        if tensor.name in DOWN_KINDS:
            tensor = Blocks(tensor.name, tensor.read(), DOWN_KINDS[tensor.name], PADDED_WIDTH)
            layer = tensor.name.split(".")[1]
            name = f"model.language_model.layers.{layer}.mlp.down_proj.weight"
            # The others meet activations that are zero, whatever they are.
            values[name] = np.ascontiguousarray(tensor.read()[:, :width])
        elif tensor.name.endswith("ffn_up.weight"):

            def read(tensor=tensor):
                gate_up = tensor.read().reshape(2, width, -1)
                return np.pad(gate_up, [(0, 0), (0, PADDED_WIDTH - width), (0, 0)]).reshape(2 * PADDED_WIDTH, -1)

            tensor = Tensor(tensor.name, [2 * PADDED_WIDTH, tensor.shape[1]], read)
        found.append(tensor)
    return found, values


def padded_type(tensor):
    return DOWN_KINDS.get(tensor.name, converter_type(tensor, KIND.F16))


class WithMtp(Checkpoint):
    """The checkpoint with a layer more than its model runs."""

    def __init__(self, folder):
        super().__init__(folder)
        text = self.config["text_config"]
        text["num_nextn_predict_layers"] = 1
        shapes = layouts.mtp_layer(self.family, text)
        self.added = {name: layouts.random_values(name, shape, MTP_SEED) for name, shape in shapes.items()}
        # In bf16 as the others, but for what is f32 there.
        for name, values in self.added.items():
            if "norm" not in name and "bias" not in name:
                self.added[name] = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        self.entries |= {name: (None, 0, "F32", list(values.shape)) for name, values in self.added.items()}

    def read(self, name):
        return self.added[name] if name in self.added else super().read(name)


def write_text(checkpoint, name, file_type, tensors, type_of, stem):
    """A model that takes the vision tower of another file."""
    writer = gguf.GGUFWriter(OUT / f"{stem}.gguf", checkpoint.architecture)
    writer.add_name(name)
    write_text_settings(writer, checkpoint, file_type)
    write_vocabulary(writer, checkpoint)
    writer.add_chat_template((checkpoint.folder / "chat_template.jinja").read_text())
    write_tensors(writer, tensors, type_of)


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<f4").tobytes()).hexdigest()


def mixed_type(tensor):
    kind = converter_type(tensor, KIND.Q8_0)
    if kind == KIND.Q8_0 and tensor.shape[-1] % 32 != 0:
        # As the converter does.
        return KIND.F16
    return MIX.get(tensor.name.split(".")[-2], kind) if kind == KIND.Q8_0 else kind


def dequantised(checkpoint):
    """The checkpoint's tensors by published name, as the GGUF files have their values."""
    kinds = {}
    for tensor in [*text_tensors(checkpoint), *vision_tensors(checkpoint)]:
        # Rows of published tensors are those of the file, in another order, and rows are quantised one by one.
        kinds[hashlib.sha256(np.sort(tensor.read(), axis=None).tobytes()).hexdigest()] = mixed_type(tensor)
    found = {}
    for name in checkpoint.entries:
        values = checkpoint.read(name)
        kind = kinds.get(hashlib.sha256(np.sort(values, axis=None).tobytes()).hexdigest(), F32)
        found[name] = gguf.dequantize(gguf.quantize(values, kind), kind).reshape(values.shape)
    return found


def answers(folder, tensors):
    """Logits and tokens of transformers with these tensors."""
    with tempfile.TemporaryDirectory() as temporary:
        copied = Path(temporary) / "model"
        shutil.copytree(folder, copied, ignore=shutil.ignore_patterns("*.safetensors*", "cases"))
        values = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
        save_file(values, copied / "model.safetensors", metadata={"format": "pt"})
        model = AutoModelForImageTextToText.from_pretrained(copied, dtype=torch.float32).eval()
    found = {}
    for name in ("text", "one-image"):
        inputs = recorded_inputs(folder / "cases", name)
        model.model.rope_deltas = None
        logits = prefill(model, inputs).logits[0, -1].numpy()
        ids, margins = greedy(model, inputs, TOKENS)
        assert min(margins) >= LEAST_MARGIN, (name, margins)
        found[name] = {"lastLogits": pack(logits), "greedyIds": ids}
    return found


def blocks():
    random = np.random.default_rng(30)
    found = {}
    for name in BLOCK_TYPES:
        kind = KIND[name]
        elements, size = GGML_QUANT_SIZES[kind]
        count = max(2, 512 // elements)
        data = random.integers(0, 256, size=(count, size), dtype=np.uint8)
        for at in SCALES.get(name, [0]):
            # Of every size, of both signs, zero and below the normal ones.
            scales = (random.normal(size=count) * 10.0 ** random.integers(-7, 2, size=count)).astype(np.float16)
            scales[0] = np.float16(6e-8) if at % 4 == 0 else np.float16(0)
            data[:, at : at + 2] = scales.view(np.uint8).reshape(count, 2)
        found[name] = {"bytes": pack(data), "values": pack(gguf.dequantize(data.reshape(1, -1), kind))}
    return found


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    for checkpoint, name, kind in PLAIN:
        opened = Checkpoint(DATA / checkpoint)
        # One of them in parts.
        split = 24 if checkpoint == "glm_ocr-tiny" else 0
        write_pair(opened, name, FILE_TYPES[kind], lambda tensor, kind=kind: converter_type(tensor, kind), checkpoint, split)
    checkpoint = Checkpoint(DATA / QUANTISED)
    write_pair(checkpoint, "GLM-4.1V", gguf.LlamaFileType.MOSTLY_Q4_0, mixed_type, QUANTISED)
    values = dequantised(checkpoint)
    flash = Checkpoint(DATA / PADDED)
    tensors, own = padded_tensors(flash)
    flash.config["text_config"]["intermediate_size"] = PADDED_WIDTH
    write_text(flash, "GLM-4.6V-Flash", gguf.LlamaFileType.MOSTLY_Q4_K_M, tensors, padded_type, PADDED_STEM)
    down = {name: flash.read(name) for name in flash.entries} | own
    moe = WithMtp(DATA / WITH_MTP)
    write_text(moe, "GLM-4.5V", gguf.LlamaFileType.MOSTLY_BF16, text_tensors(moe), lambda tensor: converter_type(tensor, KIND.BF16), MTP_STEM)
    expected = {
        "version": 1,
        "gguf": version("gguf"),
        "sha256": {name: hashlib.sha256(array.astype(np.float32).tobytes()).hexdigest() for name, array in values.items()},
        "cases": answers(checkpoint.folder, values),
        "padded": {"base": PADDED, "cases": answers(flash.folder, down)},
        "mtp": {"base": WITH_MTP, "sha256": {name: sha256(array) for name, array in moe.added.items()}},
        "blocks": blocks(),
    }
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    for path in sorted(OUT.iterdir()):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
