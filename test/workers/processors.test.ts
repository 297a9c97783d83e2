/** How many threads a model has that asks for no number, from what Linux says of the machine. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { usableCores } from "../../src/workers/processors.node.ts";

/** Files of a machine whose processors share cores as told. */
function machine(
  siblings: readonly string[],
  allowed: string,
  others: Readonly<Record<string, string>> = {},
) {
  const files: Record<string, string> = {
    "/proc/self/status": `Name:\tnode\nCpus_allowed_list:\t${allowed}\n`,
  };
  siblings.forEach((list, index) => {
    files[`/sys/devices/system/cpu/cpu${index}/topology/thread_siblings_list`] = `${list}\n`;
  });
  return (path: string) => ({ ...files, ...others })[path];
}

const TWO_A_CORE = ["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"];
const ONE_A_CORE = ["0", "1", "2", "3"];
const V2 = "/sys/fs/cgroup";

const CASES: readonly [
  name: string,
  read: (path: string) => string | undefined,
  available: number,
  expected: number,
][] = [
  ["nothing is known", () => undefined, 6, 6],
  ["one thread a core", machine(ONE_A_CORE, "0-3"), 4, 4],
  ["two threads a core", machine(TWO_A_CORE, "0-7"), 8, 4],
  ["both threads of one core, and one of another", machine(TWO_A_CORE, "0,4-5"), 3, 2],
  ["four threads of four cores", machine(TWO_A_CORE, "0-3"), 4, 4],
  [
    "a quota of the group",
    machine(ONE_A_CORE, "0-3", {
      "/proc/self/cgroup": "0::/a/b\n",
      [`${V2}/a/b/cpu.max`]: "250000 100000\n",
    }),
    4,
    2,
  ],
  [
    "a quota of a group around it, less than one processor",
    machine(ONE_A_CORE, "0-3", {
      "/proc/self/cgroup": "0::/a/b\n",
      [`${V2}/a/b/cpu.max`]: "max 100000\n",
      [`${V2}/a/cpu.max`]: "50000 100000\n",
    }),
    4,
    1,
  ],
  [
    "no quota",
    machine(ONE_A_CORE, "0-3", { "/proc/self/cgroup": "0::/\n", [`${V2}/cpu.max`]: "max 100000\n" }),
    4,
    4,
  ],
  [
    "a quota as older kernels have it",
    machine(ONE_A_CORE, "0-3", {
      "/proc/self/cgroup": "5:cpu,cpuacct:/docker/1\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }),
    4,
    3,
  ],
];

for (const [name, read, available, expected] of CASES) {
  test(`cores that can be used: ${name}`, () => {
    assert.is(usableCores(read, available), expected);
  });
}

test("this machine has some", () => {
  assert.ok(usableCores() >= 1);
});

test.run();
