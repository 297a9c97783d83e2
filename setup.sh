#!/usr/bin/env bash
# From a fresh clone to an answer about a picture: installs what is missing, builds, runs the demo.
# Needs Node 20 or newer. A second run takes seconds.
set -euo pipefail
cd "$(dirname "$0")"

node_major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
if [ "$node_major" -lt 20 ]; then
  echo "glimt needs Node.js 20 or newer with npm; found $(node --version 2>/dev/null || echo none)." >&2
  exit 1
fi

# Debian's Emscripten has a clang too old for relaxed SIMD and threads; a newer one beside it does that work.
missing=()
command -v emcc >/dev/null || missing+=(emscripten)
if ! command -v emcc >/dev/null || [ "$(emcc -dM -E -x c /dev/null | sed -n 's/.*__clang_major__ //p')" -lt 17 ]; then
  command -v clang-19 >/dev/null || missing+=(clang-19 llvm-19)
  command -v wasm-ld-19 >/dev/null || missing+=(lld-19)
fi
if [ ${#missing[@]} != 0 ]; then
  install="apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ${missing[*]} from Debian (a minute or two)"
    log=$(mktemp)
    { apt-get update && DEBIAN_FRONTEND=noninteractive $install; } >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    rm "$log"
  else
    echo "The compilers of the WebAssembly kernels are missing. On Debian or Ubuntu:" >&2
    echo "  sudo $install" >&2
    echo "elsewhere see https://emscripten.org/docs/getting_started/downloads.html; then run setup.sh again." >&2
    exit 1
  fi
fi

# npm ci starts from nothing each time, so it runs only when the lock file is newer than what is installed.
if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
  npm ci --no-audit --no-fund --loglevel=error
fi

npm run --silent build

demo='node dist/cli.js run examples/demo/checkpoint --image examples/demo/pictures/hello.png "Text Recognition:"'
echo
echo "\$ $demo"
eval "$demo"
