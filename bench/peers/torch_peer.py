"""PyTorch with Hugging Face transformers: `python torch_peer.py --checkpoint DIR --dtype f32 --part decoder`.

Answers requests on stdin with lines on stdout, as child.mjs has it. The model is the published class, eager, with
torch's own attention (sdpa); in inference mode.
"""

import argparse
import json
import os
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Whatever a library prints is no answer.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import torch  # noqa: E402
import transformers  # noqa: E402

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def stopwatch():
    start, processor = time.perf_counter(), time.process_time()
    return lambda: {
        "ms": 1000 * (time.perf_counter() - start),
        "cpuMs": 1000 * (time.process_time() - processor),
    }


class Peer:
    def __init__(self, options):
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self.dtype = DTYPES[options.dtype]
        self.model = transformers.AutoModelForImageTextToText.from_pretrained(options.checkpoint, dtype=self.dtype).eval()
        # The other part would only take memory.
        if options.part == "decoder":
            del self.model.model.visual
        else:
            del self.model.model.language_model, self.model.lm_head

    def about(self, _request):
        return {"about": f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, transformers {transformers.__version__}"}

    def forward(self, ids, first, cache):
        """Logits of the last token."""
        positions = torch.arange(first, first + len(ids)).expand(3, 1, -1)
        output = self.model(
            input_ids=torch.tensor([ids]), position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        return output.logits[0, -1]

    def prefill(self, request):
        cache = transformers.DynamicCache(config=self.model.config.text_config)
        elapsed = stopwatch()
        self.forward(request["ids"], 0, cache)
        return {"times": [elapsed()]}

    def decode(self, request):
        ids, forced = request["ids"], request.get("forced")
        cache = transformers.DynamicCache(config=self.model.config.text_config)
        logits = self.forward(ids, 0, cache)
        times, tokens = [], []
        for step in range(request["steps"]):
            tokens.append(int(logits.argmax()))
            elapsed = stopwatch()
            logits = self.forward([forced[step] if forced else tokens[-1]], len(ids) + step, cache)
            times.append(elapsed())
        return {"times": times, "tokens": tokens}

    def vision(self, request):
        config = self.model.config.vision_config
        rows, columns = request["height"] // config.patch_size, request["width"] // config.patch_size
        width = config.in_channels * config.temporal_patch_size * config.patch_size**2
        pixels = torch.randn(rows * columns, width, dtype=self.dtype)
        grid = torch.tensor([[1, rows, columns]])
        elapsed = stopwatch()
        self.model.model.visual(pixels, grid_thw=grid)
        return {"times": [elapsed()]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--dtype", choices=DTYPES, required=True)
    parser.add_argument("--part", choices=("decoder", "vision"), required=True)
    peer = Peer(parser.parse_args())
    tasks = {"about": peer.about, "prefill": peer.prefill, "decode": peer.decode, "vision": peer.vision}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            torch.set_num_threads(request.get("threads", 1))
            with torch.inference_mode():
                answer = tasks[request["task"]](request)
        except Exception as error:  # noqa: BLE001: whatever it is, the other measurements are worth having
            answer = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        print(json.dumps({"id": request["id"], **answer}), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
