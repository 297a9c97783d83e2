/** Reading a weight of a checkpoint and storing it on the wasm engine, which looks for NaN on the way. */
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import { plainTensor } from "../../src/checkpoint/plain-weight.ts";
import type { StoredWeight } from "../../src/checkpoint/stored-weight.ts";
import { WeightReader } from "../../src/checkpoint/weight-reader.ts";
import { fromFloat32 } from "../../src/tensor/elements.ts";
import { fastest, noise, row } from "../kernels.ts";

const shape = [4096, 4096] as const;
const stored = fromFloat32("bf16", noise(shape[0] * shape[1]));
const files = blobFiles(new Map([["m.safetensors", new Blob([stored as Uint16Array<ArrayBuffer>])]]));
const bytes = stored.byteLength;
const facts = { name: "w", file: "m.safetensors", dtype: "BF16", shape, offset: 0, bytes } as const;
const tensor = plainTensor(files, facts) as StoredWeight;
const layout = "rows";
const spec = { name: "w", shape, dtype: "bf16", sources: [{ tensor: "w", shape, layout }] } as const;
const weight = new WeightReader(spec, [{ tensor, layout }], 0);
const engine = await wasmBackend.open();
const upload = async () => engine.free(await engine.uploadWeight(weight, "plain"));

console.log(row("", "ms", "GB/s"));
const seconds = await fastest("load", upload, 3);
console.log(row("a bf16 weight of 4096 x 4096", 1000 * seconds, stored.byteLength / seconds / 1e9));
