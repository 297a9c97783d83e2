/** What can not be read of quantised checkpoints: one error that names the tensor, the method and the reason. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { resolveWeights } from "../../src/checkpoint/resolve-weights.ts";
import type { GlimtError } from "../../src/errors.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";
import { storageBytes } from "../../src/tensor/storage.ts";
import { failure, type TensorFixture } from "./fixtures.ts";
import { openFixture, quantisedFixture, type Tensors } from "./quantised-fixtures.ts";

const Q = "model.language_model.layers.0.self_attn.q_proj";

interface Bad {
  readonly what: string;
  readonly fixture: string;
  readonly config?: (config: Record<string, unknown>) => void;
  readonly tensors?: (tensors: Tensors) => void;
  readonly code: string;
  readonly message: RegExp;
}

/** Opens the checkpoint and reads one weight of it. */
async function read({ fixture, config, tensors }: Bad): Promise<void> {
  const checkpoint = await openCheckpoint(
    await openFixture(quantisedFixture(fixture), {
      ...(config ? { config } : {}),
      ...(tensors ? { tensors } : {}),
    }),
  );
  const shape = ["fp8-block", "nvfp4"].includes(fixture) ? [128, 48] : [64, 64];
  const source = { tensor: `${Q}.weight`, shape, layout: "rows" } as const;
  const spec: WeightSpec = { name: "q", shape, dtype: "f32", sources: [source] };
  const [weight] = resolveWeights(checkpoint, [spec]).weights;
  await weight?.readRows(0, weight.rows, new Uint8Array(weight.bytes));
}

const quantisation = (change: (section: Record<string, unknown>) => void) => {
  return (config: Record<string, unknown>) => change(config.quantization_config as Record<string, unknown>);
};

/** Changes a tensor of the module that is read. */
const part = (end: string, change: (tensor: TensorFixture) => TensorFixture | null) => (tensors: Tensors) => {
  const name = `${Q}.${end}`;
  const found = tensors.get(name);
  if (!found) throw new Error(`no ${name}`);
  const changed = change(found);
  if (changed) tensors.set(name, changed);
  else tensors.delete(name);
};

const without = (end: string) => part(end, () => null);

/** The bytes from `at` on. */
const bytes = (end: string, at: number, ...values: number[]) =>
  part(end, (tensor) => {
    const data = tensor.data.slice();
    data.set(values, at);
    return { ...tensor, data };
  });

/** As many elements in another shape, or of another type of the same size. */
const facts = (end: string, changed: Partial<TensorFixture>) =>
  part(end, (tensor) => ({ ...tensor, ...changed }));

const BF16_NAN = [0xc0, 0x7f];
const F16_INFINITY = [0x00, 0x7c];

const CASES: readonly Bad[] = [
  {
    what: "a method that nobody knows",
    fixture: "w4a16",
    config: quantisation((section) => {
      section.quant_method = "hqq";
    }),
    code: "MODEL_UNSUPPORTED",
    message: /quantization_config \("hqq"\): glimt reads compressed-tensors, fp8, awq, gptq/,
  },
  {
    what: "no method",
    fixture: "w4a16",
    config: quantisation((section) => {
      delete section.quant_method;
    }),
    code: "MODEL_UNSUPPORTED",
    message: /quantization_config \(undefined\)/,
  },
  {
    what: "an object's own name as a method",
    fixture: "w4a16",
    config: quantisation((section) => {
      section.quant_method = "constructor";
    }),
    code: "MODEL_UNSUPPORTED",
    message: /"constructor"/,
  },
  {
    what: "a sparse format",
    fixture: "w4a16",
    config: quantisation((section) => {
      section.format = "marlin-24";
    }),
    code: "CONFIG_INVALID",
    message: /quantization_config\.format: expected a dense format .* found "marlin-24"/,
  },
  {
    what: "transforms that the weights were multiplied by",
    fixture: "w4a16",
    config: quantisation((section) => {
      section.transform_config = { config_groups: { R1: {} } };
    }),
    code: "CONFIG_INVALID",
    message: /transform_config: expected no transforms/,
  },
  {
    what: "another layout of AWQ",
    fixture: "awq",
    config: quantisation((section) => {
      section.version = "gemv";
    }),
    code: "CONFIG_INVALID",
    message: /quantization_config\.version: expected "gemm", found "gemv"/,
  },
  {
    what: "another layout of GPTQ",
    fixture: "gptq",
    config: quantisation((section) => {
      section.checkpoint_format = "marlin";
    }),
    code: "CONFIG_INVALID",
    message: /checkpoint_format: expected one of gptq, gptq_v2, found "marlin"/,
  },
  {
    what: "another packing of AutoRound",
    fixture: "auto-round",
    config: quantisation((section) => {
      section.packing_format = "auto_round:fake";
    }),
    code: "CONFIG_INVALID",
    message: /packing_format: expected auto_round:auto_gptq/,
  },
  {
    what: "8-bit floats without a scale",
    fixture: "fp8-channel",
    tensors: without("weight_scale"),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has no weight_scale \(compressed-tensors\)/,
  },
  {
    what: "blocks of another size than the configuration's",
    fixture: "fp8-block",
    config: quantisation((section) => {
      const { group_0 } = section.config_groups as { group_0: { weights: Record<string, unknown> } };
      group_0.weights.block_structure = [128, 128];
    }),
    code: "WEIGHTS_INVALID",
    message:
      /q_proj\.weight has weight_scale \[8, 2\], expected one for weight \[128, 48\], one for each row, or one for each 128 x 128 elements \(compressed-tensors\)/,
  },
  {
    what: "packed integers of a width that is not there",
    fixture: "w4a16",
    config: quantisation((section) => {
      const { group_0 } = section.config_groups as { group_0: { weights: Record<string, unknown> } };
      group_0.weights.num_bits = 1_000_000_007;
    }),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has weight_packed \[64, 8\], expected what goes with weight_scale \[64, 2\]/,
  },
  {
    what: "packed integers of 3 bits",
    fixture: "w4a16",
    config: quantisation((section) => {
      const { group_0 } = section.config_groups as { group_0: { weights: Record<string, unknown> } };
      Object.assign(group_0.weights, { num_bits: 3, group_size: 43 });
    }),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has 3 bits; glimt reads 4 and 8 \(compressed-tensors\)/,
  },
  {
    what: "packed integers without groups in the configuration",
    fixture: "w4a16",
    config: quantisation((section) => {
      delete section.config_groups;
    }),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has weight_packed \[64, 8\], expected .* config_groups, which are missing/,
  },
  {
    what: "packed integers without scales",
    fixture: "w4a16",
    tensors: without("weight_scale"),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has no weight_scale \(compressed-tensors\)/,
  },
  {
    what: "a scale that is NaN",
    fixture: "w4a16",
    tensors: bytes("weight_scale", 6, ...BF16_NAN),
    code: "CHECKPOINT_INVALID",
    message:
      /"model\.language_model\.layers\.0\.self_attn\.q_proj\.weight_scale" \(compressed-tensors\) holds NaN or infinity/,
  },
  {
    what: "a total scale of zero",
    fixture: "nvfp4",
    tensors: bytes("weight_global_scale", 0, 0, 0, 0, 0),
    code: "CHECKPOINT_INVALID",
    message: /q_proj\.weight_global_scale" \(compressed-tensors\) is zero/,
  },
  {
    what: "zero points of other groups",
    fixture: "w8a16-asymmetric",
    tensors: facts("weight_zero_point", { shape: [2, 16] }),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has weight_zero_point \[2, 16\], expected \[16, 2\] \(compressed-tensors\)/,
  },
  {
    what: "a column in a group that is not there",
    fixture: "w4a16-actorder",
    tensors: bytes("weight_g_idx", 4, 4, 0, 0, 0),
    code: "CHECKPOINT_INVALID",
    message: /q_proj\.weight_g_idx" \(compressed-tensors\) puts column 1 in group 4, but there are 4/,
  },
  {
    what: "a column in a negative group",
    fixture: "gptq-act-order",
    tensors: bytes("g_idx", 0, 254, 255, 255, 255),
    code: "CHECKPOINT_INVALID",
    message: /q_proj\.g_idx" \(GPTQ\) puts column 0 in group -2, but there are 4/,
  },
  {
    what: "scales that are infinite",
    fixture: "gptq",
    tensors: bytes("scales", 2, ...F16_INFINITY),
    code: "CHECKPOINT_INVALID",
    message: /q_proj\.scales" \(GPTQ\) holds NaN or infinity/,
  },
  {
    what: "zero points that are not in the middle, though they are said to be",
    fixture: "gptq",
    tensors: bytes("qzeros", 0, 0x55),
    code: "CHECKPOINT_INVALID",
    message: /q_proj\.qweight" \(GPTQ\) has a zero point of column \d+ that goes against sym/,
  },
  {
    what: "columns in another order, though they are said to be in none",
    fixture: "gptq",
    tensors: bytes("g_idx", 0, 1, 0, 0, 0),
    code: "CHECKPOINT_INVALID",
    message: /q_proj\.g_idx" \(GPTQ\) puts column 0 in group 1, but the configuration says no desc_act/,
  },
  {
    what: "zero points of no width",
    fixture: "gptq",
    tensors: facts("qzeros", { shape: [1, 16] }),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has qzeros \[1, 16\], expected 2 rows of 4, 6, 8, 16 words \(GPTQ\)/,
  },
  {
    what: "no zero points",
    fixture: "gptq",
    tensors: without("qzeros"),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has no qzeros \(GPTQ\)/,
  },
  {
    what: "packed integers of another type",
    fixture: "gptq",
    tensors: facts("qweight", { dtype: "F32" }),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has qweight in F32, expected I32 \(GPTQ\)/,
  },
  {
    what: "AWQ's tensors said to be GPTQ's",
    fixture: "awq",
    config: quantisation((section) => {
      section.quant_method = "gptq";
    }),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has scales \[2, 64\], expected 8 columns \(GPTQ\)/,
  },
  {
    what: "a weight that is there twice",
    fixture: "gptq",
    tensors: (tensors) => {
      const data = new Uint8Array(64 * 64 * 4);
      tensors.set(`${Q}.weight`, { dtype: "F32", shape: [64, 64], data });
    },
    code: "CHECKPOINT_INVALID",
    message:
      /holds "model\.language_model\.layers\.0\.self_attn\.q_proj\.weight" twice: as it is, and quantised/,
  },
  {
    what: "a state that is no JSON",
    fixture: "nf4",
    tensors: bytes("weight.quant_state.bitsandbytes__nf4", 0, 0x5b),
    code: "CHECKPOINT_INVALID",
    message: /quant_state\.bitsandbytes__nf4" \(bitsandbytes\) is not valid JSON/,
  },
  {
    what: "no state",
    fixture: "nf4",
    tensors: without("weight.quant_state.bitsandbytes__nf4"),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has no weight\.quant_state \(bitsandbytes\)/,
  },
  {
    what: "scales for other elements",
    fixture: "nf4",
    tensors: part("weight.absmax", (tensor) => ({ ...tensor, shape: [63], data: tensor.data.slice(0, 63) })),
    code: "WEIGHTS_INVALID",
    message: /q_proj\.weight has weight\.absmax \[63\], expected 64 elements \(bitsandbytes\)/,
  },
];

for (const bad of CASES) {
  test(`${bad.what} (${bad.fixture})`, async () => {
    const error: GlimtError = await failure(() => read(bad));
    assert.is(error.code, bad.code, error.message);
    assert.ok(bad.message.test(error.message), error.message);
  });
}

const MLX_Q = "language_model.model.layers.0.self_attn.q_proj";

test("MLX: other widths, and other modes", async () => {
  const fixture = quantisedFixture("mlx-8-bits");
  const open = async (change: (section: Record<string, unknown>) => void) => {
    const config = (json: Record<string, unknown>) => change(json.quantization as Record<string, unknown>);
    const { tensors } = await openCheckpoint(await openFixture(fixture, { config }));
    return tensors.get(`${Q}.weight`)?.refusal;
  };
  assert.match(
    String(await open((section) => Object.assign(section, { [MLX_Q]: { group_size: 96 } }))),
    "has 16 words a row for 1 groups of 96, which are 5.333333333333333 bits an element",
  );
  assert.match(
    String(await open((section) => Object.assign(section, { group_size: 1_000_000_007 }))),
    /which are .* bits an element; glimt reads 2, 4, 8 \(MLX\)/,
  );
  assert.match(
    String(await open((section) => Object.assign(section, { mode: "nvfp4" }))),
    "is quantised in mode nvfp4; glimt reads affine (MLX)",
  );
});

test("an abort ends reading", async () => {
  for (const name of ["gptq", "awq", "w4a16", "nf4"]) {
    const { tensors } = await openCheckpoint(await openFixture(quantisedFixture(name)));
    const tensor = tensors.get(`${Q}.weight`);
    if (!tensor || tensor.refusal !== undefined) throw new Error("not a weight");
    const into = new Uint8Array(storageBytes(tensor.format, 64, 64));
    const error = await failure(() => tensor.readRows(0, 64, into, AbortSignal.abort()));
    assert.is(error.code, "ABORTED", name);
    // What was stopped does not stand in the way of the next.
    await tensor.readRows(0, 64, into);
  }
});

test.run();
