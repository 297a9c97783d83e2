#!/usr/bin/env bash
# Everything that needs a GPU, in one command of under ten minutes on a bare machine with CUDA 13 and Node 20 or newer:
# builds the addon for the card, judges it (conformance, golden models, compute-sanitizer), times it (random weights in
# the released sizes, against limits measured now and against transformers), and writes a report. docs/gpu.md explains.
#
#   bash bench/gpu.sh [--out DIR] [--minutes 9.5] [--models glm-ocr,glm-4.1v]
#   bash bench/gpu.sh prepare [--with-node]   where npm packages are installed: bundles what the machine with the GPU
#                                             needs into build/gpu, so that it needs no npm package and no network
#   bash bench/gpu.sh rehearse [--out DIR]    the same steps with the CPU emulator and a tiny model, without a GPU
#
# A step that fails or takes too long is reported, and the rest goes on. Exit codes: 0 all done, 1 a step failed,
# 2 there is nothing to run on. PYTHON names the Python that has torch and transformers.
set -uo pipefail
cd "$(dirname "$0")/.."

mode=run
case ${1-} in prepare | rehearse) mode=$1 && shift ;; esac
out=build/gpu/report
minutes=9.5
models=glm-ocr,glm-4.1v
with_node=no
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=${2:?--out needs a folder} && shift 2 ;;
    --minutes) minutes=${2:?--minutes needs a number} && shift 2 ;;
    --models) models=${2:?--models needs names} && shift 2 ;;
    --with-node) with_node=yes && shift ;;
    *) echo "gpu.sh: unknown option $1 (the first lines of bench/gpu.sh list them)" >&2 && exit 2 ;;
  esac
done
programs=build/gpu/programs
raw=build/gpu/raw

give_up() {
  echo "gpu.sh: $*" >&2
  exit 2
}

find_node() {
  if ! command -v node >/dev/null && [ -f build/gpu/node.gz ]; then
    mkdir -p build/gpu/bin
    gzip -dc build/gpu/node.gz >build/gpu/bin/node && chmod +x build/gpu/bin/node
    PATH=$PWD/build/gpu/bin:$PATH
  fi
  local major
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  [ "$major" -ge 20 ] ||
    give_up "Node 20 or newer is needed, found $(node --version 2>/dev/null || echo none);" \
      "\`bash bench/gpu.sh prepare --with-node\` elsewhere packs one into build/gpu."
}

prepare() {
  node bench/gpu/bundle.mjs || return 1
  if [ "$with_node" = yes ]; then gzip -c "$(node -p process.execPath)" >build/gpu/node.gz; fi
  du -sh build/gpu/programs build/gpu/node.gz 2>/dev/null
  echo "Take the repository and its folder build/gpu to the machine with the GPU, and run: bash bench/gpu.sh"
}

find_node
if [ "$mode" = prepare ]; then
  prepare
  exit
fi

# --- steps ---------------------------------------------------------------------------------------------------------

deadline=$(awk "BEGIN { print int($(date +%s) + 60 * $minutes) }")
rm -rf "$raw"
mkdir -p "$raw"
failed=0

left() { echo $((deadline - $(date +%s))); }

# note NAME STATUS SECONDS REMARK: one line of the report's table of steps.
note() { printf '%s\t%s\t%s\t%s\n' "$@" >>"$raw/steps.tsv"; }

# The line of a log that says what went wrong: the first that speaks of an error, or else the last.
complaint() {
  { grep -m 1 -E '(^|[ :)])([A-Za-z]*Error|error|FAILED)[: ]' "$1" || grep -v '^[[:space:]]*$' "$1" | tail -n 1; } |
    tr '\t' ' ' | sed 's/^ *//' | cut -c -300
}

# step NAME SECONDS COMMAND...: at most so long, and not past the deadline; all it prints is in raw/NAME.log.
step() {
  local name=$1 limit=$2 start=$SECONDS status=0 remark=
  shift 2
  if [ "$(left)" -lt 8 ]; then
    note "$name" "not run" 0 "no time was left"
    echo "--- $name: not run, no time is left"
    return 1
  fi
  if [ "$(left)" -lt "$limit" ]; then limit=$(left); fi
  echo "--- $name (at most $limit s)"
  if declare -F "$1" >/dev/null; then
    export -f "${1?}"
    timeout -k 5 "$limit" bash -c '"$@"' bash "$@" >"$raw/$name.log" 2>&1 || status=$?
  else
    timeout -k 5 "$limit" "$@" >"$raw/$name.log" 2>&1 || status=$?
  fi
  case $status in
    0) note "$name" ok $((SECONDS - start)) "" ;;
    124 | 137) remark="stopped after $limit s" ;;
    *) remark=$(complaint "$raw/$name.log") ;;
  esac
  if [ $status != 0 ]; then
    failed=$((failed + 1))
    note "$name" FAILED $((SECONDS - start)) "$remark"
    echo "    FAILED: $remark"
    tail -n 8 "$raw/$name.log" | sed 's/^/    | /'
  else
    echo "    ok, $((SECONDS - start)) s"
  fi
  return $status
}

skip() {
  note "$1" "not run" 0 "$2"
  echo "--- $1: not run, $2"
}

fact() { printf '%s\t%s\n' "$1" "$2" >>"$raw/facts.tsv"; }

# --- what there is -------------------------------------------------------------------------------------------------

find_tools() {
  local folder
  for folder in "${CUDA_HOME-}" /usr/local/cuda /usr/local/cuda-13*; do
    # Behind what is there: the toolkit has tools beside nvcc that a machine may lack on its path.
    if [ -x "$folder/bin/nvcc" ]; then PATH=$PATH:$folder/bin; fi
  done
  python=
  for folder in "${PYTHON-}" python3 python; do
    if [ -n "$folder" ] && "$folder" -c 'import torch, transformers' >/dev/null 2>&1; then
      python=$folder
      break
    fi
  done
  find_cublas
  export PATH
}

# Where the loader does not find it by itself, the addon is told: the toolkit's, or the one that came with torch.
find_cublas() {
  local name=libcublasLt.so.13 found
  if [ -n "${GLIMT_CUBLASLT-}" ] || ldconfig -p 2>/dev/null | grep -q "$name"; then return; fi
  found=$(ls /usr/local/cuda*/lib64/$name /usr/local/cuda*/targets/*/lib/$name 2>/dev/null | head -n 1)
  if [ -z "$found" ] && [ -n "$python" ]; then
    found=$("$python" -c 'import glob, site, sys
for folder in [*sys.path, *site.getsitepackages()]:
    for path in glob.glob(folder + "/nvidia/*/lib/libcublasLt.so.13"): print(path)' 2>/dev/null | head -n 1)
  fi
  if [ -n "$found" ]; then export GLIMT_CUBLASLT=$found; fi
}

gather_facts() {
  fact "date" "$(date -u +%Y-%m-%dT%H:%MZ)"
  fact "commit" "$(git rev-parse HEAD 2>/dev/null || echo unknown)$(git diff --quiet HEAD 2>/dev/null || echo ', changed')"
  fact "system" "$(uname -sr), $(nproc) processors"
  fact "node" "$(node --version)"
  if [ "$mode" = rehearse ]; then
    fact "card" "none: a rehearsal on the CPU emulator"
    return
  fi
  local query=name,driver_version,memory.total,compute_cap,clocks.max.sm,clocks.max.mem,power.limit
  fact "card ($query)" "$(nvidia-smi -i 0 --query-gpu=$query --format=csv,noheader 2>/dev/null)"
  fact "nvcc" "$(nvcc --version 2>/dev/null | sed -n 's/.*release //p')"
  fact "cmake" "$(cmake --version 2>/dev/null | head -n 1)"
  fact "cuBLASLt" "${GLIMT_CUBLASLT:-found by the loader, or not at all (see limits)}"
  fact "python" "${python:-none with torch and transformers}"
}

if [ "$mode" = run ]; then
  command -v nvidia-smi >/dev/null ||
    give_up "there is no NVIDIA driver here (no nvidia-smi). \`bash bench/gpu.sh rehearse\` runs the steps on the CPU" \
      "emulator; \`npm run build:native cuda\` compiles without a GPU."
  capability=$(nvidia-smi -i 0 --query-gpu=compute_cap --format=csv,noheader 2>&1 | head -n 1)
  [[ $capability =~ ^[0-9]+\.[0-9]+$ ]] || give_up "no GPU can be used here; nvidia-smi says: $capability"
  [ "${capability%.*}" -ge 8 ] || give_up "the GPU has compute capability $capability; 8.0 (Ampere) or newer is needed."
  architecture=${capability/./}
  # wgmma and its like exist in code for exactly this architecture only.
  if [ "$architecture" = 90 ]; then architecture=90a; fi
fi
find_tools
gather_facts

# --- building ------------------------------------------------------------------------------------------------------

if [ -d node_modules/esbuild ]; then
  step bundles 60 node bench/gpu/bundle.mjs
fi
[ -f "$programs/speed.mjs" ] ||
  give_up "build/gpu/programs is missing: run \`bash bench/gpu.sh prepare\` where npm packages are installed (npm ci)."

addon=$PWD/build/bindings/emulator/glimt.node
addon_folder=build/gpu/addon-${architecture-none}

# From nothing: what ptxas says of each kernel belongs in the report.
build_addon() {
  local generator=()
  rm -rf "$1"
  if command -v ninja >/dev/null; then generator=(-G Ninja); fi
  cmake -S bindings -B "$1" "${generator[@]}" -DGLIMT_BACKEND=cuda "-DCMAKE_CUDA_ARCHITECTURES=$2-real" \
    "-DCMAKE_CUDA_COMPILER=$(command -v nvcc)" \
    "-DNODE_API_HEADERS=$PWD/$3/node-api-headers" "-DNODE_ADDON_API=$PWD/$3/node-addon-api" &&
    cmake --build "$1" --target glimt_addon -j "$(nproc)"
}

build_ceilings() {
  local native=crates-free-native
  nvcc -O3 -std=c++20 -gencode "arch=compute_$2,code=sm_$2" -I$native/include -I$native/runtime -o "$1" \
    bench/gpu/ceilings.cu $native/runtime/library_gemm_cuda.cu $native/runtime/runtime_cuda.cu -ldl
}

ceilings=()
if [ "$mode" = run ]; then
  if step build 200 build_addon "$addon_folder" "$architecture" "$programs"; then
    addon=$PWD/$addon_folder/glimt.node
    # Kernels that spill are in the table; they are no failure here.
    node crates-free-native/scripts/ptxas-report.mjs <"$raw/build.log" >"$raw/ptxas.md" || true
  elif [ -f build/bindings/cuda13/glimt.node ]; then
    addon=$PWD/build/bindings/cuda13/glimt.node
    fact "addon" "not built here: build/bindings/cuda13 was brought along"
  else
    addon=
  fi
  if step build-ceilings 90 build_ceilings build/gpu/ceilings "$architecture"; then
    step ceilings 60 build/gpu/ceilings && grep '^{' "$raw/ceilings.log" >"$raw/ceilings.json" &&
      ceilings=(--ceilings build/gpu/ceilings)
  fi
elif [ ! -f "$addon" ]; then
  give_up "the emulator's addon is missing: npm run build:native emulator"
fi

# --- judging and timing --------------------------------------------------------------------------------------------

js() {
  local program=$1
  shift
  node "$programs/$program.mjs" "$@" --cuda-addon "$addon"
}

# conformance NAME OPTIONS...: a backend that can not run is no mismatch for the command, but here CUDA is what it is
# about.
conformance() {
  js glimt conformance --json --html "$raw/$1.html" "${@:2}" >"$raw/$1.json" || return
  node -p 'const { refused } = JSON.parse(fs.readFileSync(0, "utf8"));
    if (refused.cuda) throw new Error(refused.cuda); "cuda was judged"' <"$raw/$1.json"
}

# Hopper's own instructions, which nothing uses unless it is asked to: whatever they can compute.
conformance_wgmma() { GLIMT_WGMMA=always conformance "$@"; }

golden() { js golden --activations "$1" --json "$raw/golden-$1.json" "${@:2}"; }

# golden_over NAME OPTIONS...: several GPUs, with f32 activations.
golden_over() { js golden --activations f32 --json "$raw/golden-$1.json" "${@:2}"; }

speed() { js speed --backend cuda --json "$raw/speed-$1.json" "${@:2}"; }

# Our own kernels, through wgmma where it should pay.
speed_wgmma() { GLIMT_WGMMA=1 speed "$@"; }

sanitize() { compute-sanitizer --tool "$1" --target-processes application-only --error-exitcode 9 \
  --print-limit 20 node "$programs/sanitized.mjs" --cuda-addon "$addon" "${@:2}"; }

peer() { "$python" bench/gpu/transformers_peer.py --config "bench/model/configs/$1.json" --json "$raw/peer-$1.json"; }

export raw programs addon python
export -f js conformance speed

if [ -z "$addon" ]; then
  skip "conformance, golden models, speed, compute-sanitizer" "there is no addon"
elif [ "$mode" = rehearse ]; then
  step golden-f32 120 golden f32 --only glm_ocr-tiny
  step golden-tensor-2 120 golden_over tensor-2 --only glm_ocr-tiny --tensor 2
  step golden-pipeline-2 120 golden_over pipeline-2 --only glm_ocr-tiny --pipeline 2
  step speed-tiny 120 speed tiny --model tiny --batches 1,4 --context 40 --prefill 64 --page 112 --seconds 1
  step speed-tiny-q8 120 speed tiny-q8 --model tiny --weights q8 --batches 1 --context 40 --prefill 64 --page 112 \
    --seconds 1
  step sanitized 120 js sanitized --cases 1 --models no
else
  step golden-f32 60 golden f32
  for model in ${models//,/ }; do
    step "speed-$model" 120 speed "$model" --model "$model" --seconds 3 "${ceilings[@]}"
  done
  step golden-bf16 60 golden bf16
  if [ "$(nvidia-smi -L | wc -l)" -ge 2 ]; then
    step golden-tensor-2 60 golden_over tensor-2 --tensor 2
    step golden-pipeline-2 60 golden_over pipeline-2 --pipeline 2
  else
    skip "golden-tensor-2, golden-pipeline-2" "there is one GPU"
  fi
  step conformance 150 conformance conformance
  if [[ ,$models, == *,glm-ocr,* ]]; then
    step speed-glm-ocr-own 60 speed glm-ocr-own --model glm-ocr --cublas no --batches 1 --seconds 2 "${ceilings[@]}"
  fi
  if [[ ,$models, == *,glm-ocr,* ]]; then
    for format in q8 q4 fp8; do
      step "speed-glm-ocr-$format" 60 speed "glm-ocr-$format" --model glm-ocr --weights "$format" --batches 1,8 \
        --seconds 2 "${ceilings[@]}"
    done
  fi
  if [ "${architecture-}" = 90a ]; then
    step conformance-wgmma 60 conformance_wgmma conformance-wgmma --backend cuda
    if [[ ,$models, == *,glm-ocr,* ]]; then
      step speed-glm-ocr-wgmma 60 speed_wgmma glm-ocr-wgmma --model glm-ocr --cublas no --batches 1 --seconds 2 \
        "${ceilings[@]}"
    fi
  fi
fi
for model in ${models//,/ }; do
  if [ "$mode" = rehearse ]; then break; fi
  if [ -z "$python" ]; then
    skip "transformers-$model" "no Python here has torch and transformers (PYTHON names one)"
  else
    step "transformers-$model" 110 peer "$model"
  fi
done
if [ "$mode" = run ] && [ -n "$addon" ]; then
  if command -v compute-sanitizer >/dev/null; then
    step memcheck 75 sanitize memcheck
    step racecheck 75 sanitize racecheck --cases 2 --models no
  else
    skip compute-sanitizer "it is not installed"
  fi
  if [[ ,$models, == *,glm-ocr,* ]]; then
    step speed-glm-ocr-eager 60 speed glm-ocr-eager --model glm-ocr --graphs no --batches 1 --seconds 2 "${ceilings[@]}"
  fi
fi

# --- report --------------------------------------------------------------------------------------------------------

mkdir -p "$out"
node bench/gpu/report.mjs "$raw" "$out" || failed=$((failed + 1))
for file in conformance.html ptxas.md; do
  if [ -f "$raw/$file" ]; then cp "$raw/$file" "$out/"; fi
done
tar -czf "$out/logs.tar.gz" -C "$raw" . 2>/dev/null
echo "The report is $out/gpu-report.md; $failed steps failed."
[ "$failed" = 0 ]
