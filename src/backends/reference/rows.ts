/** embed, gather_rows, scatter_rows: whole rows moved by index. */
import { checkedIndex, type Kernel, type Kernels } from "./kernel.ts";

const embed: Kernel<"embed"> = ({ ids, table }, { y }) => {
  const row = new Float32Array(table.cols);
  ids.toInt32().forEach((id, t) => {
    table.readRow(checkedIndex("embed", "id", id, table.rows), row);
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
