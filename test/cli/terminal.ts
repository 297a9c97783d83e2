/** A command on a pseudo-terminal, which Python's standard library has. */
import { spawnSync } from "node:child_process";

/** Runs argv; for each step waits until the output behind the last one holds a text, then types. Prints all, and the status. */
const DRIVER = `
import json, os, pty, select, sys
steps, argv = json.loads(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execvp(argv[0], argv)
shown, seen = "", 0
def more():
    global shown
    if not select.select([terminal], [], [], 120)[0]: raise SystemExit("nothing more was shown behind: " + shown)
    try: piece = os.read(terminal, 65536)
    except OSError: piece = b""
    shown += piece.decode("utf-8", "replace")
    return piece != b""
for expected, typed in steps:
    while expected not in shown[seen:]:
        if not more(): raise SystemExit("ended before " + expected + ": " + shown)
    seen = shown.index(expected, seen) + len(expected)
    os.write(terminal, typed.encode())
while more(): pass
status = os.waitpid(pid, 0)[1]
print(json.dumps({"shown": shown, "status": os.waitstatus_to_exitcode(status)}))
`;

export const PYTHON = ["python3", "python"].find(
  (name) => spawnSync(name, ["-c", "import pty"]).status === 0,
);

/** @param steps what is waited for, and what is typed then */
export function onTerminal(argv: readonly string[], steps: readonly (readonly [string, string])[]) {
  const { status, stdout, stderr } = spawnSync(
    PYTHON as string,
    ["-c", DRIVER, JSON.stringify(steps), ...argv],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as { readonly shown: string; readonly status: number };
}
