"""Writes a GGUF file of a checkpoint's text model: `python bench/peers/make_gguf.py --checkpoint DIR --type q8_0 --out FILE`.

For comparing with llama.cpp on the same weights. Only dense models of the family (architecture "glm4"), only the
decoder: llama.cpp's vision tower for them computes something else (an extra norm). Matrices are of the one type asked
for; the embedding table, the head, keys and values of another where `--wider` says so; norms are float32. Needs numpy and
the `gguf` package.
"""

import argparse
import sys
from pathlib import Path

try:
    import gguf
except ImportError:
    sys.exit("make_gguf: needs the Python package gguf: pip install gguf")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test" / "golden"))

from gguf_files import (  # noqa: E402
    F32,
    Checkpoint,
    text_tensors,
    write_tensors,
    write_text_settings,
    write_vocabulary,
)

from k_quants import q4_k, q6_k  # noqa: E402

TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
    "q4_k_m": (gguf.GGMLQuantizationType.Q4_K, gguf.LlamaFileType.MOSTLY_Q4_K_M),
}
K_QUANTS = {gguf.GGMLQuantizationType.Q4_K: q4_k, gguf.GGMLQuantizationType.Q6_K: q6_k}
# Those that glimt's q4 keeps in q8: they lose most.
WIDER = ("token_embd", "output", "attn_k", "attn_v")


def in_six_bits(name, layers):
    """Of llama.cpp's Q4_K_M: the head; values and the last product of each layer in the first and last eighth and in every third."""
    parts = name.split(".")
    if parts[0] != "blk":
        return parts[0] == "output"
    layer = int(parts[1])
    wide = layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
    return wide and parts[2] in ("attn_v", "ffn_down")


def stored(tensor, kind):
    return K_QUANTS[kind](tensor.read()) if kind in K_QUANTS else tensor.stored(kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder with config.json, tokenizer.json, weights")
    parser.add_argument("--type", choices=TYPES, required=True, help="of the matrices")
    parser.add_argument("--wider", choices=TYPES, help="of the embedding table, the head, keys and values, where another")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    checkpoint = Checkpoint(options.checkpoint)
    if checkpoint.family not in ("glm4v", "glm_ocr"):
        parser.error(f"{options.checkpoint} is a {checkpoint.family} model, expected glm4v or glm_ocr")
    matrix_type, file_type = TYPES[options.type]
    wider_type, _ = TYPES[options.wider or options.type]

    layers = checkpoint.config["text_config"]["num_hidden_layers"]

    def type_of(tensor):
        if len(tensor.shape) == 1:
            return F32
        if options.type == "q4_k_m" and in_six_bits(tensor.name, layers):
            return gguf.GGMLQuantizationType.Q6_K
        return wider_type if tensor.name.removesuffix(".weight").split(".")[-1] in WIDER else matrix_type

    # Under another name until it is whole: nobody takes half a file for one.
    unfinished = options.out.with_name(options.out.name + ".part")
    writer = gguf.GGUFWriter(unfinished, checkpoint.architecture)
    writer.add_name(f"{checkpoint.family} for comparing")
    write_text_settings(writer, checkpoint, file_type, mtp=False)
    write_vocabulary(writer, checkpoint)
    template = options.checkpoint / "chat_template.jinja"
    if template.exists():
        writer.add_chat_template(template.read_text(encoding="utf-8"))
    write_tensors(writer, text_tensors(checkpoint, mtp=False), type_of, stored)
    unfinished.replace(options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1e9:.3f} GB of {options.type}")


if __name__ == "__main__":
    main()
