/** embed, gather_rows, scatter_rows: whole rows moved by index. */
import { checkedIndex, type Kernel, type Kernels } from "./kernel.ts";

const embed: Kernel<"embed"> = ({ ids, table }, { y }, { first, total }) => {
  const row = new Float32Array(table.cols);
  ids.toInt32().forEach((id, t) => {
    const own = id === -1 ? -1 : checkedIndex("embed", "id", id, total) - first;
    if (own >= 0 && own < table.rows) table.readRow(own, row);
    else row.fill(0);
    y.writeRow(t, row);
  });
};

const gatherRows: Kernel<"gather_rows"> = ({ x, rows }, { y }) => {
  const row = new Float32Array(x.cols);
  rows.toInt32().forEach((from, i) => {
    x.readRow(checkedIndex("gather_rows", "row", from, x.rows), row);
    y.writeRow(i, row);
  });
};

const scatterRows: Kernel<"scatter_rows"> = ({ values, rows }, { y }) => {
  const row = new Float32Array(values.cols);
  rows.toInt32().forEach((to, i) => {
    values.readRow(i, row);
    y.writeRow(checkedIndex("scatter_rows", "row", to, y.rows), row);
  });
};

export const rowsKernels = {
  embed,
  gather_rows: gatherRows,
  scatter_rows: scatterRows,
} satisfies Kernels;
