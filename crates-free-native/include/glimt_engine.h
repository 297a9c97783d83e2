/*
 * The C interface of the native CUDA backend: what the Node-API addon (or any other host) calls.
 * The same functions run on a real GPU or on the CPU emulator; `glimt_backend_kind` says which.
 *
 * Conventions
 *  - Every function that can fail returns 0 on success and 1 on failure, and then fills `error` (may be NULL).
 *    `error->code` is one of the codes of src/errors.ts ("INPUT_INVALID", "OUT_OF_MEMORY", ...).
 *  - Matrices are [rows, cols], row-major, contiguous. dtypes are those of glimt_program.gen.h:
 *    0 f32, 1 bf16 (16-bit patterns), 2 f16 (16-bit patterns), 3 i32.
 *  - Handles are opaque and belong to one engine. Calls on one engine may come from any thread, one at a time
 *    (a mutex inside keeps overlapping calls apart: the second waits). Several engines may share a device.
 *  - Nothing touches the driver before glimt_probe or glimt_engine_create.
 *  - Strings are UTF-8. Pointers passed in are not kept after the call returns.
 */
#ifndef GLIMT_ENGINE_H
#define GLIMT_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define GLIMT_API __declspec(dllexport)
#else
#define GLIMT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised with every incompatible change of this header. */
#define GLIMT_ABI_VERSION 4

typedef struct glimt_engine glimt_engine;
typedef struct glimt_tensor glimt_tensor;
typedef struct glimt_executable glimt_executable;

typedef struct glimt_error {
  char code[32];
  char message[1024];
} glimt_error;

typedef struct glimt_device_info {
  char name[128];
  /* Compute capability, e.g. 9 and 0; 0 and 0 on the emulator. */
  int32_t major, minor;
  int32_t multiprocessors;
  /* CUDA versions as 1000 * major + 10 * minor, e.g. 13000; 0 on the emulator. */
  int32_t driver_version, runtime_version;
  uint64_t total_bytes, free_bytes;
} glimt_device_info;

#define GLIMT_GROUP_ID_BYTES 128

/* An engine's place in a group: ranks 0 .. ranks - 1, in stages of `tensor` ranks, each on a device of its own. */
typedef struct glimt_group_seat {
  /* glimt_group_id's, the same for all ranks. */
  uint8_t id[GLIMT_GROUP_ID_BYTES];
  int32_t rank, ranks, tensor;
  /* How long opening waits for the other ranks, and how long a run may take that waits for them. */
  uint32_t deadline_milliseconds;
} glimt_group_seat;

typedef struct glimt_engine_options {
  /* Ordinal of the device. */
  int32_t device;
  /* 1: large matrix products go to cuBLASLt when the library is found; 0: always our own kernels. */
  int32_t use_cublas;
  /*
   * 1: a row of a result has the same bits whatever rows a run has beside it, and however many: fixed cuts of every sum,
   * and only kernels that keep to them (no cuBLASLt).
   */
  int32_t batch_invariant;
  /* NULL: the engine is alone. */
  const glimt_group_seat* group;
} glimt_engine_options;

typedef struct glimt_weight {
  /* The buffer's name in the program. */
  const char* name;
  glimt_tensor* tensor;
} glimt_weight;

typedef struct glimt_symbol {
  const char* name;
  int64_t value;
} glimt_symbol;

/* Memory bound to a state, input or output: either device rows or host memory (inputs and outputs). */
typedef struct glimt_binding {
  /* The buffer's name in the program. */
  const char* name;
  /* Device memory: rows [first_row, first_row + rows) of a tensor. NULL when host is given. */
  glimt_tensor* tensor;
  uint64_t first_row, rows;
  /*
   * Host memory, elements of `host_dtype`, `host_elements` of them. For bf16 and f16 either 16-bit dtype serves, and
   * for such an input f32, which is rounded (nearest, ties to even). Of an input it is only read; of an output it is
   * written before a run that goes well returns.
   */
  void* host;
  uint32_t host_dtype;
  uint64_t host_elements;
} glimt_binding;

enum {
  /*
   * Replay what repeats: a run with the symbol values and bound device rows of one that ended well before is captured as
   * a CUDA graph, which later ones replay. What was not run before goes eagerly.
   */
  GLIMT_RUN_GRAPH = 1
};

typedef struct glimt_run_args {
  const glimt_symbol* symbols;
  uint32_t symbol_count;
  const glimt_binding* bindings;
  uint32_t binding_count;
  uint32_t flags;
  /*
   * Looked at between instructions; not 0 ends the run with ABORTED. A replayed graph runs to its end. May be NULL.
   * Write it atomically.
   */
  const volatile int32_t* abort;
  /* Set to the share of instructions handed to the device, in 1/1000. May be NULL. */
  volatile int32_t* progress;
} glimt_run_args;

typedef struct glimt_memory {
  /*
   * Tensors held, the arena (temporaries and workspace of a run, its staged inputs and outputs) held, pinned memory that
   * uploads and runs pass through (what glimt_pinned_allocate gave is not counted).
   */
  uint64_t tensor_bytes, arena_bytes, pinned_bytes;
  /* Of the device, all processes. */
  uint64_t free_bytes, total_bytes;
} glimt_memory;

/* ---- what this build is ---- */

/* "cuda" or "emulator". */
GLIMT_API const char* glimt_backend_kind(void);
GLIMT_API uint32_t glimt_abi_version(void);
/* Version of the program encoding it decodes (PROGRAM_VERSION). */
GLIMT_API uint32_t glimt_program_version(void);
/*
 * 1 when op `op_code` can run with inputs of these storage formats, one for each input in the op table's order; else 0
 * and the reason in error->message.
 */
GLIMT_API int glimt_supports(uint32_t op_code, uint32_t activation_dtype, const uint8_t* formats, uint32_t format_count,
                             glimt_error* error);

/* ---- devices ---- */

/* Describes device `ordinal`. BACKEND_UNAVAILABLE with the reason and the remedy when there is none. */
GLIMT_API int glimt_probe(int32_t ordinal, glimt_device_info* info, glimt_error* error);
GLIMT_API int glimt_device_count(int32_t* count, glimt_error* error);

/* ---- groups of devices ---- */

/*
 * By what the ranks of a new group find one another, in this process or others. BACKEND_UNAVAILABLE when there is no NCCL,
 * with the remedy.
 */
GLIMT_API int glimt_group_id(uint8_t id[GLIMT_GROUP_ID_BYTES], glimt_error* error);

/* ---- engine: a device, a stream, and all memory allocated through it ---- */

/*
 * `options` may be NULL: device 0, cuBLASLt allowed. In a group it waits until all ranks are there, so that each needs a
 * thread of its own; GROUP_FAILED when one does not come.
 */
GLIMT_API int glimt_engine_create(const glimt_engine_options* options, glimt_engine** engine, glimt_error* error);
/* Waits for running work and frees everything, tensors and executables included. NULL is allowed. */
GLIMT_API void glimt_engine_destroy(glimt_engine* engine);
GLIMT_API int glimt_engine_memory(glimt_engine* engine, glimt_memory* memory, glimt_error* error);
/* tensor_bytes + arena_bytes; asks nothing of the device. */
GLIMT_API uint64_t glimt_engine_live_bytes(glimt_engine* engine);
/* Gives the arena and captured graphs back; the next run allocates anew. */
GLIMT_API int glimt_engine_trim(glimt_engine* engine, glimt_error* error);

/* ---- tensors ---- */

/* Zeroed. OUT_OF_MEMORY says how much was wanted and how much is free. */
GLIMT_API int glimt_tensor_allocate(glimt_engine* engine, uint32_t dtype, uint64_t rows, uint64_t cols,
                                    glimt_tensor** tensor, glimt_error* error);
GLIMT_API int glimt_tensor_free(glimt_engine* engine, glimt_tensor* tensor, glimt_error* error);
GLIMT_API uint64_t glimt_tensor_bytes(const glimt_tensor* tensor);
/*
 * Rows [first_row, first_row + rows) from `data`, whose elements are of `source_dtype`: the tensor's own, or, for
 * tensors of f32, bf16 and f16, another of these three, converted on the way (nearest, ties to even).
 */
GLIMT_API int glimt_tensor_write(glimt_engine* engine, glimt_tensor* tensor, uint64_t first_row, uint64_t rows,
                                 uint32_t source_dtype, const void* data, glimt_error* error);
/* Copies rows [first_row, first_row + rows) to `data` in the tensor's dtype. */
GLIMT_API int glimt_tensor_read(glimt_engine* engine, const glimt_tensor* tensor, uint64_t first_row, uint64_t rows,
                                void* data, glimt_error* error);
/*
 * Copies rows [from_row, from_row + rows) of `from` to those from `first_row` on of `to`, on the device. Both have the
 * same dtype and columns; rows of one tensor must not overlap. INPUT_INVALID otherwise.
 */
GLIMT_API int glimt_tensor_copy(glimt_engine* engine, glimt_tensor* to, uint64_t first_row, const glimt_tensor* from,
                                uint64_t from_row, uint64_t rows, glimt_error* error);

/* Page-locked host memory: copies from and to it are fastest. Freed with the engine at the latest. */
GLIMT_API int glimt_pinned_allocate(glimt_engine* engine, uint64_t bytes, void** data, glimt_error* error);
GLIMT_API int glimt_pinned_free(glimt_engine* engine, void* data, glimt_error* error);

/* ---- programs ---- */

/* PROGRAM_INVALID when the bytes are damaged or of another version, or a weight is missing or of another shape. */
GLIMT_API int glimt_load(glimt_engine* engine, const void* program, uint64_t program_bytes,
                            const glimt_weight* weights, uint32_t weight_count, glimt_executable** executable,
                            glimt_error* error);
GLIMT_API int glimt_executable_free(glimt_engine* engine, glimt_executable* executable, glimt_error* error);
/* Bytes of the arena that a run with these symbol values needs (temporaries and workspace). */
GLIMT_API int glimt_executable_arena_bytes(glimt_engine* engine, const glimt_executable* executable,
                                           const glimt_symbol* symbols, uint32_t symbol_count, uint64_t* bytes,
                                           glimt_error* error);
/*
 * Takes the memory that a run with these symbol values needs beside its tensors: OUT_OF_MEMORY comes here then, before
 * anything is computed. `on_device` names inputs and outputs that the run will bind to tensors, beside resident ones.
 */
GLIMT_API int glimt_executable_reserve(glimt_engine* engine, glimt_executable* executable, const glimt_symbol* symbols,
                                       uint32_t symbol_count, const char* const* on_device, uint32_t count,
                                       glimt_error* error);
/* Whether a run writes the buffer of that name: it is an output. Asks nothing of the device, and never waits. */
GLIMT_API int glimt_executable_writes(const glimt_executable* executable, const char* buffer);
/*
 * Device rows that later runs of the executable start from, in place of those bound before; bindings of a run override
 * them by name. They must stay alive for as long as runs use them (DISPOSED otherwise). INPUT_INVALID names a buffer
 * that does not exist or is of another dtype or width; the former ones stay bound then.
 */
GLIMT_API int glimt_bind(glimt_engine* engine, glimt_executable* executable, const glimt_binding* resident,
                         uint32_t resident_count, glimt_error* error);
/*
 * Runs the program and waits for it. INPUT_INVALID names a symbol or buffer that is missing, wrong or too small.
 *
 * A program that ranks of a group run together (it has instructions like all_reduce) must be run by all of them at about
 * the same time, each on its own thread. Whatever ends such a run early, an abort too, ends the group: all its runs, under
 * way and later, fail with GROUP_FAILED and the first reason. Ranks in other processes hear of it by their deadline.
 */
GLIMT_API int glimt_run(glimt_engine* engine, glimt_executable* executable, const glimt_run_args* args,
                        glimt_error* error);

/* ---- measurement ---- */

typedef struct glimt_run_statistics {
  /* Kernels launched by eager runs; a library's own are not counted. */
  uint64_t launches, graph_captures, graph_replays, eager_runs;
  /* To other ranks of the group, by runs that ended well: of what is summed or gathered the rank's own part, once. */
  uint64_t bytes_given;
  /* Device time of the last run, by events around its work. */
  double last_run_milliseconds;
} glimt_run_statistics;
/* What computes large products: the library and its version, or why it is not used. Valid until the next call. */
GLIMT_API const char* glimt_engine_library(glimt_engine* engine);
GLIMT_API int glimt_engine_statistics(glimt_engine* engine, glimt_run_statistics* statistics, glimt_error* error);

/* ---- emulator only (on "cuda" they return 1 with BACKEND_UNAVAILABLE) ---- */

typedef enum glimt_fault {
  GLIMT_FAULT_ALLOCATION = 0, /* device memory */
  GLIMT_FAULT_PINNED = 1,     /* page-locked host memory */
  GLIMT_FAULT_LAUNCH = 2,     /* a kernel launch is refused */
  GLIMT_FAULT_DEVICE_LOST = 3, /* the n-th launch kills the device: every later call of its engines fails */
  GLIMT_FAULT_HANG = 4 /* a rank hangs in what it does with others of its group, until it is made to give up */
} glimt_fault;
/* The call number `countdown` from now (1: the very next) of that kind fails once; 0 disarms. Process-wide. */
GLIMT_API int glimt_emulator_fail(glimt_fault fault, uint64_t countdown, glimt_error* error);
/* Order in which the threads of a block run: 0 in order, 1 reversed, 2 shuffled at every step with `seed`. */
GLIMT_API int glimt_emulator_schedule(int32_t schedule, uint64_t seed, glimt_error* error);
/* Pretended memory of each of the eight devices; allocations beyond it fail. Default 8 GiB. */
GLIMT_API int glimt_emulator_memory_limit(uint64_t bytes, glimt_error* error);
/* Pretended multiprocessors of engines that are created from now on: kernels cut their work by them. Default 4. */
GLIMT_API int glimt_emulator_multiprocessors(int32_t count, glimt_error* error);

#ifdef __cplusplus
}
#endif
#endif
