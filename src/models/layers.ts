/** Pieces that towers and decoders share, each named after the checkpoint's module path. */
import type { GraphBuilder } from "../graph/builder.ts";
import type { Value } from "../graph/graph.ts";

export function columns(x: Value): number {
  return x.shape[1] as number;
}

/** `path.weight` [outFeatures, columns of x], with `path.bias` when asked. */
export function linear(g: GraphBuilder, x: Value, path: string, outFeatures: number, bias: boolean): Value {
  const y = g.linear({ x, w: g.weight(`${path}.weight`, [outFeatures, columns(x)]) });
  return bias ? g.add_bias({ x: y, bias: g.weight(`${path}.bias`, [outFeatures]) }) : y;
}

/** RMSNorm over rows, or over each run of `size` columns (one weight for all heads). */
export function rmsNorm(g: GraphBuilder, x: Value, path: string, eps: number, size = columns(x)): Value {
  return g.rms_norm({ x, w: g.weight(`${path}.weight`, [size]) }, { eps });
}

/** down(silu(gate x) * up x), with separate gate and up projections. */
export function gatedMlp(g: GraphBuilder, x: Value, path: string, width: number, bias: boolean): Value {
  const gate = linear(g, x, `${path}.gate_proj`, width, bias);
  const up = linear(g, x, `${path}.up_proj`, width, bias);
  return linear(g, g.swiglu({ gate, up }), `${path}.down_proj`, columns(x), bias);
}

/** The same with one stacked projection, gate first. */
export function stackedGatedMlp(g: GraphBuilder, x: Value, path: string, width: number): Value {
  const both = linear(g, x, `${path}.gate_up_proj`, 2 * width, false);
  const gate = g.slice({ x: both }, { start: 0, length: width });
  const up = g.slice({ x: both }, { start: width, length: width });
  return linear(g, g.swiglu({ gate, up }), `${path}.down_proj`, columns(x), false);
}
