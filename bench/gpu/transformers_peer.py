"""Speed of Hugging Face transformers on the same card: `python transformers_peer.py --config CONFIG_JSON --json OUT`.

The same model as glimt's benchmark, with random bf16 weights made on the card: decoding (greedy, from a filled cache),
prefill and the vision tower; first eager, then with decoding compiled (static cache, CUDA graphs). What was measured is
written after each step, so that a time limit keeps it. Needs torch and transformers; no network, no checkpoint.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="a config.json of the released sizes")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", default="1,8,64")
    parser.add_argument("--compiled-batches", default="1,8")
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--prefill", type=int, default=2048)
    parser.add_argument("--page", type=int, default=1036, help="pixels on a side")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--layers", type=int, help="instead of the released number")
    parser.add_argument("--depth", type=int, help="instead of the released number")
    return parser.parse_args()


def main():
    options = arguments()
    try:
        import torch
        import transformers
    except ImportError as error:
        sys.exit(f"transformers_peer: {error}")
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"transformers_peer: torch {torch.__version__} sees no CUDA device")
    report = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else options.device,
        "context": options.context,
        "prefill": options.prefill,
        "eager": {"decode": []},
        "compiled": {"decode": []},
        "failures": [],
    }
    peer = Peer(torch, options, report)
    with torch.no_grad():
        peer.attempt("load", peer.load)
        if not peer.model:
            sys.exit("transformers_peer: the model could not be made")
        for batch in numbers(options.batches):
            peer.attempt(f"eager decode, batch {batch}", lambda batch=batch: peer.decode(batch, "eager"))
        peer.attempt("eager prefill", peer.prefill)
        peer.attempt("eager vision", peer.vision)
        for batch in numbers(options.compiled_batches):
            peer.attempt(f"compiled decode, batch {batch}", lambda batch=batch: peer.decode(batch, "compiled"))


def numbers(text):
    return [int(part) for part in text.split(",") if part]


class Peer:
    def __init__(self, torch, options, report):
        self.torch, self.options, self.report, self.model = torch, options, report, None
        self.compiled = None

    def attempt(self, name, action):
        """Runs one measurement; a failure is noted and the rest goes on."""
        start = time.perf_counter()
        try:
            action()
            print(f"  {name}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
        except Exception as error:  # noqa: BLE001: whatever it is, the other measurements are worth having
            self.report["failures"].append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
            print(f"  {name} failed: {error}", file=sys.stderr)
        self.options.json.write_text(json.dumps(self.report, indent=1) + "\n")
        if self.options.device == "cuda":
            self.torch.cuda.empty_cache()

    def load(self):
        import transformers

        torch, options = self.torch, self.options
        content = json.loads(options.config.read_text())
        if options.layers:
            content["text_config"]["num_hidden_layers"] = options.layers
        if options.depth:
            content["vision_config"]["depth"] = options.depth
        architecture = getattr(transformers, content["architectures"][0])
        config = architecture.config_class(**content)
        start = time.perf_counter()
        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16)
        try:
            with torch.device(options.device):
                self.model = architecture(config).eval()
        finally:
            torch.set_default_dtype(torch.float32)
        self.synchronize()
        self.report["loadMs"] = 1000 * (time.perf_counter() - start)
        self.report["parameters"] = sum(weight.numel() for weight in self.model.parameters())

    def synchronize(self):
        if self.options.device == "cuda":
            self.torch.cuda.synchronize()

    def positions(self, start, count, batch):
        """[3, batch, count]: the three axes of text are the same."""
        row = self.torch.arange(start, start + count, device=self.options.device)
        return row.expand(3, batch, count)

    def ids(self, batch, count):
        return self.torch.arange(batch * count, device=self.options.device).reshape(batch, count) % 1000 % self.vocabulary()

    def vocabulary(self):
        return self.model.config.text_config.vocab_size

    def cache(self, mode, batch, length):
        from transformers import DynamicCache, StaticCache

        if mode == "eager":
            return DynamicCache(config=self.model.config.text_config)
        return StaticCache(config=self.model.config.text_config, max_cache_len=length)

    def fill(self, cache, batch, context):
        """A prefill of `context` tokens; batch rows a few at a time would not share the cache, so all at once."""
        self.model(
            input_ids=self.ids(batch, context),
            position_ids=self.positions(0, context, batch),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )

    def decode(self, batch, mode):
        torch, options = self.torch, self.options
        context, steps, warm_up = options.context, options.steps, 4
        cache = self.cache(mode, batch, context + warm_up + steps + 1)
        self.fill(cache, batch, context - 1)
        forward = self.model.forward
        if mode == "compiled":
            self.compiled = self.compiled or torch.compile(self.model.forward, mode="reduce-overhead")
            forward = self.compiled
        token = self.ids(batch, 1)
        times = []
        for step in range(warm_up + steps):
            self.synchronize()
            start = time.perf_counter()
            if mode == "compiled" and options.device == "cuda":
                torch.compiler.cudagraph_mark_step_begin()
            output = forward(
                input_ids=token,
                position_ids=self.positions(context - 1 + step, 1, batch).contiguous(),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            token = output.logits[:, -1].argmax(-1, keepdim=True).clone()
            self.synchronize()
            if step >= warm_up:
                times.append(1000 * (time.perf_counter() - start))
        median = statistics.median(times)
        row = {"batch": batch, "median": median, "best": min(times), "tokensPerSecond": 1000 * batch / median}
        self.report[mode]["decode"].append(row)

    def passes(self, run):
        times = []
        for index in range(self.options.passes + 2):
            self.synchronize()
            start = time.perf_counter()
            run()
            self.synchronize()
            if index >= 2:
                times.append(1000 * (time.perf_counter() - start))
        return {"median": statistics.median(times), "best": min(times)}

    def prefill(self):
        count = self.options.prefill
        ids, positions = self.ids(1, count), self.positions(0, count, 1)

        def run():
            cache = self.cache("eager", 1, count)
            self.model(
                input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
            )

        self.report["eager"]["prefill"] = {"size": count, **self.passes(run)}

    def vision(self):
        torch, vision = self.torch, self.model.config.vision_config
        side = round(self.options.page / (vision.patch_size * vision.spatial_merge_size)) * vision.spatial_merge_size
        width = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
        pixels = torch.randn(side * side, width, device=self.options.device, dtype=torch.bfloat16)
        grid = torch.tensor([[1, side, side]], device=self.options.device)
        tower = self.model.model.visual
        self.report["eager"]["vision"] = {"size": side * side, **self.passes(lambda: tower(pixels, grid_thw=grid))}


if __name__ == "__main__":
    main()
