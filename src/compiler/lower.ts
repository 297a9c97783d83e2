/**
 * Graph -> program: views become operands (buffer, column offset, row stride), values become buffers, and
 * temporaries share slots by lifetime.
 */

import { GlimtError } from "../errors.ts";
import type { Graph, Node, Value, ValueId } from "../graph/graph.ts";
import type { OpDefinition } from "../graph/op-definition.ts";
import { OPS } from "../graph/ops.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import type { Instruction, Program, ProgramBuffer, ProgramTensor } from "../program/program.ts";
import { type ChooseLayout, weightUses } from "../program/weights.ts";
import type { Dim, Shape } from "../tensor/dims.ts";
import type { TensorDType } from "../tensor/dtype.ts";
import { assignSlots, type Lifetime, type SizeHints } from "./memory-plan.ts";

/** Where a value lives: columns of the buffer that `root` owns. */
interface Place {
  readonly root: ValueId;
  readonly colOffset: number;
  readonly rowStride: number;
}

export function lowerGraph(graph: Graph, sizeHints: SizeHints, chooseLayout: ChooseLayout): Program {
  const places = placeValues(graph);
  const roots = [...new Set(usedValues(graph).map((id) => (places.get(id) as Place).root))].sort(
    (a, b) => a - b,
  );
  const bufferIndex = new Map(roots.map((id, index) => [id, index]));
  const outputNames = outputBuffers(graph, places);
  const weights: WeightSpec[] = [];

  const lifetimes = temporaryLifetimes(graph, places, new Set(outputNames.keys()));
  const { slots, slotCount } = assignSlots(lifetimes, sizeHints);
  const tensors = new TensorTable();
  const operand = (id: ValueId): number => {
    const place = places.get(id) as Place;
    const [rows, cols] = matrixShape((graph.values[id] as Value).shape);
    const { colOffset, rowStride } = place;
    return tensors.add({ buffer: bufferIndex.get(place.root) as number, rows, cols, colOffset, rowStride });
  };
  const instructions = graph.nodes
    .filter((node) => !definitionOf(node).view)
    .map(
      (node): Instruction => ({
        op: node.op,
        inputs: Object.keys(OPS[node.op].inputs).map((name) => operand(node.inputs[name] as ValueId)),
        outputs: Object.keys(OPS[node.op].outputs).map((name) => operand(node.outputs[name] as ValueId)),
        attrs: Object.keys(OPS[node.op].attrs).map((name) => node.attrs[name] as number),
        scope: node.scope,
      }),
    );
  const uses = weightUses({ tensors: tensors.all, instructions });
  const buffers = roots.map((id, index): ProgramBuffer => {
    const value = graph.values[id] as Value;
    const { origin, dtype } = value;
    const [rows, cols] = matrixShape(value.shape);
    const place = { name: outputNames.get(id) ?? value.name, rows, cols, slot: slots.get(id) ?? -1 };
    if (origin.kind === "weight") {
      weights.push(origin.spec);
      const layout = chooseLayout(dtype, uses.get(index) ?? new Set());
      return { ...place, kind: "weight", layout, dtype };
    }
    const kind = origin.kind !== "computed" ? origin.kind : outputNames.has(id) ? "output" : "temporary";
    // No op gives, and no input has, a format that only weights have.
    return { ...place, kind, layout: "plain", dtype: dtype as TensorDType };
  });

  const symbols = [
    ...new Set([...buffers, ...tensors.all].flatMap(({ rows, cols }) => [rows, cols].flatMap(symbolOf))),
  ];
  return {
    name: graph.name,
    activation: graph.activationDType,
    symbols,
    buffers,
    tensors: tensors.all,
    instructions,
    slotCount,
    weights,
  };
}

/** Follows views, aliases and allowed in-place reuse to the value that owns the memory. */
function placeValues(graph: Graph): Map<ValueId, Place> {
  const places = new Map<ValueId, Place>();
  for (const value of graph.values) places.set(value.id, { root: value.id, colOffset: 0, rowStride: 0 });
  const lastUse = lastUses(graph, places);
  graph.nodes.forEach((node, index) => {
    const definition = definitionOf(node);
    if (definition.view) {
      const output = Object.values(node.outputs)[0] as ValueId;
      places.set(output, viewPlace(graph, node, places.get(node.inputs.x as ValueId) as Place));
      return;
    }
    for (const [output, input] of Object.entries(definition.alias ?? {})) {
      places.set(node.outputs[output] as ValueId, places.get(node.inputs[input] as ValueId) as Place);
    }
    for (const [output, input] of Object.entries(definition.inPlace ?? {})) {
      const from = node.inputs[input] as ValueId;
      const to = node.outputs[output] as ValueId;
      const place = places.get(from) as Place;
      if (!canReuse(graph, node, place, places, lastUse.get(place.root) === index)) continue;
      places.set(to, place);
      lastUse.set(place.root, lastUse.get(to) ?? index);
    }
  });
  return places;
}

function canReuse(
  graph: Graph,
  node: Node,
  place: Place,
  places: Map<ValueId, Place>,
  dies: boolean,
): boolean {
  const root = graph.values[place.root] as Value;
  const whole = place.colOffset === 0 && place.rowStride === 0;
  const isOutput = Object.values(graph.outputs).some((id) => places.get(id)?.root === place.root);
  const operands = Object.values(node.inputs).filter((id) => places.get(id)?.root === place.root);
  return dies && whole && root.origin.kind === "computed" && !isOutput && operands.length === 1;
}

function viewPlace(graph: Graph, node: Node, base: Place): Place {
  const input = graph.values[node.inputs.x as ValueId] as Value;
  if (node.op === "slice") {
    const rowStride = base.rowStride || (input.shape[1] as number);
    return { root: base.root, colOffset: base.colOffset + (node.attrs.start as number), rowStride };
  }
  if (base.colOffset !== 0 || base.rowStride !== 0) {
    throw new GlimtError(
      "GRAPH_INVALID",
      `${node.scope}.${node.op}: its input is a column slice; rows can be merged only when contiguous.`,
    );
  }
  return base;
}

/** Index of the last node that reads each root, through any view; graph outputs live on past the end. */
function lastUses(graph: Graph, places: Map<ValueId, Place>): Map<ValueId, number> {
  const roots = new Map<ValueId, ValueId>();
  const rootOf = (id: ValueId) => roots.get(id) ?? (places.get(id) as Place).root;
  const last = new Map<ValueId, number>();
  graph.nodes.forEach((node, index) => {
    const definition = definitionOf(node);
    for (const id of Object.values(node.inputs)) last.set(rootOf(id), index);
    if (definition.view)
      roots.set(Object.values(node.outputs)[0] as ValueId, rootOf(node.inputs.x as ValueId));
    for (const [output, input] of Object.entries(definition.alias ?? {})) {
      roots.set(node.outputs[output] as ValueId, rootOf(node.inputs[input] as ValueId));
    }
  });
  for (const id of Object.values(graph.outputs)) last.set(rootOf(id), graph.nodes.length);
  return last;
}

function temporaryLifetimes(
  graph: Graph,
  places: Map<ValueId, Place>,
  outputs: ReadonlySet<ValueId>,
): Lifetime[] {
  const lifetimes = new Map<ValueId, Lifetime & { last: number }>();
  const touch = (id: ValueId, index: number) => {
    const { root } = places.get(id) as Place;
    const { origin, shape, dtype } = graph.values[root] as Value;
    if (origin.kind !== "computed" || outputs.has(root)) return;
    const known = lifetimes.get(root);
    if (known) {
      known.last = index;
      return;
    }
    const [rows, cols] = matrixShape(shape);
    lifetimes.set(root, { id: root, rows, cols, dtype, first: index, last: index });
  };
  for (const [index, { inputs, outputs }] of graph.nodes.entries()) {
    for (const name in inputs) touch(inputs[name] as ValueId, index);
    for (const name in outputs) touch(outputs[name] as ValueId, index);
  }
  return [...lifetimes.values()];
}

/** Root value -> output name. An output must own its buffer, so that the caller can bind memory to it. */
function outputBuffers(graph: Graph, places: Map<ValueId, Place>): Map<ValueId, string> {
  const names = new Map<ValueId, string>();
  for (const [name, id] of Object.entries(graph.outputs)) {
    const place = places.get(id) as Place;
    const root = graph.values[place.root] as Value;
    const owns = root.origin.kind === "computed" && place.colOffset === 0 && place.rowStride === 0;
    if (root.origin.kind === "state") continue;
    if (!owns || names.has(place.root)) {
      throw new GlimtError(
        "GRAPH_INVALID",
        `Output "${name}" of "${graph.name}" is a part of another value or an input.`,
      );
    }
    names.set(place.root, name);
  }
  return names;
}

function usedValues(graph: Graph): ValueId[] {
  return graph.nodes.flatMap((node) => [...Object.values(node.inputs), ...Object.values(node.outputs)]);
}

function definitionOf(node: Node): OpDefinition {
  return OPS[node.op];
}

/** A vector [n] is one column of n rows. */
function matrixShape(shape: Shape): [rows: Dim, cols: Dim] {
  return [shape[0] as Dim, shape[1] ?? 1];
}

function symbolOf(dim: Dim): string[] {
  return typeof dim === "number" ? [] : [dim.symbol];
}

class TensorTable {
  readonly all: ProgramTensor[] = [];
  readonly #known = new Map<string, number>();

  add(tensor: ProgramTensor): number {
    const { buffer, colOffset, rowStride, rows, cols } = tensor;
    const key = `${buffer} ${colOffset} ${rowStride} ${dimKey(rows)} ${dimKey(cols)}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#known.set(key, this.all.length);
    return this.all.push(tensor) - 1;
  }
}

function dimKey(dim: Dim): string {
  return typeof dim === "number" ? `${dim}` : `${dim.num}/${dim.den}+${dim.add} ${dim.symbol}`;
}
