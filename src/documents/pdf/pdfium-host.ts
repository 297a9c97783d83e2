/**
 * Runs PDFium's WebAssembly, and is all that it has of the world: memory up to a limit, no files, no time zone, no
 * environment. Its imports are Emscripten's, by their names.
 */

export type PdfiumExports = Readonly<Record<string, (...values: number[]) => number>>;

export interface Pdfium {
  readonly call: PdfiumExports;
  /** Anew at each call: it moves as it grows. */
  bytes(): Uint8Array;
  view(): DataView;
  /** Whether it asked for more memory than it may have. */
  readonly isOutOfMemory: boolean;
}

/** What it says when it needs something that there is not. */
export class PdfiumFault extends Error {
  override readonly name = "PdfiumFault";
}

const PAGE_BYTES = 65_536;
/** WASI's and Linux's error numbers. */
const [BADF, NOENT, NOTTY] = [8, 44, 59];

/** Thrown by C code that jumps out of several frames, as libjpeg and libpng do for damaged pictures. */
class LongJump {}

/**
 * @param module PDFium compiled by Emscripten for a page alone (without threads and files of its own)
 * @param maxBytes of its memory
 * @throws PdfiumFault when it is another module
 */
export async function startPdfium(module: WebAssembly.Module, maxBytes: number): Promise<Pdfium> {
  let isOutOfMemory = false;
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
  const host: Record<string, (...values: number[]) => number | undefined> = {
    emscripten_resize_heap: (size = 0) => {
      const wanted = size >>> 0;
      const missing = Math.ceil((wanted - memory.buffer.byteLength) / PAGE_BYTES);
      try {
        if (wanted <= maxBytes) {
          memory.grow(Math.max(0, missing));
          return 1;
        }
      } catch {
        // The machine has no more.
      }
      isOutOfMemory = true;
      return 0;
    },
    _emscripten_throw_longjmp: () => {
      throw new LongJump();
    },
    _abort_js: () => {
      throw new PdfiumFault("it gave up");
    },
    __assert_fail: () => {
      throw new PdfiumFault("it found itself in a state that should not be");
    },
    _emscripten_memcpy_js: (to = 0, from = 0, size = 0) => {
      new Uint8Array(memory.buffer).copyWithin(to >>> 0, from >>> 0, (from >>> 0) + (size >>> 0));
      return undefined;
    },
    emscripten_date_now: () => 0,
    __syscall_openat: () => -NOENT,
    __syscall_stat64: () => -NOENT,
    __syscall_newfstatat: () => -NOENT,
    __syscall_lstat64: () => -NOENT,
    __syscall_unlinkat: () => -NOENT,
    __syscall_rmdir: () => -NOENT,
    __syscall_fcntl64: () => -BADF,
    __syscall_ioctl: () => -NOTTY,
    __syscall_fstat64: () => -BADF,
    __syscall_ftruncate64: () => -BADF,
    __syscall_getdents64: () => -BADF,
    fd_close: () => BADF,
    fd_read: () => BADF,
    fd_seek: () => BADF,
    fd_sync: () => BADF,
    // What it would print is taken and dropped.
    fd_write: (_file = 0, list = 0, count = 0, written = 0) => {
      const view = new DataView(memory.buffer);
      let size = 0;
      for (let i = 0; i < count; i++) size += view.getUint32(list + 8 * i + 4, true);
      view.setUint32(written, size, true);
      return 0;
    },
    environ_sizes_get: (count = 0, size = 0) => {
      const view = new DataView(memory.buffer);
      view.setUint32(count, 0, true);
      view.setUint32(size, 0, true);
      return 0;
    },
    environ_get: () => 0,
    // Documents may ask for the date; it is that of the start of time, everywhere.
    _tzset_js: () => undefined,
    _localtime_js: (_low = 0, _high = 0, time = 0) => clearTime(time),
    _gmtime_js: (_low = 0, _high = 0, time = 0) => clearTime(time),
  };
  const clearTime = (struct: number) => {
    new Uint8Array(memory.buffer, struct, 44).fill(0);
    new DataView(memory.buffer).setInt32(struct + 20, 70, true);
    return undefined;
  };
  for (const { module: space, name, kind } of WebAssembly.Module.imports(module)) {
    const known = kind === "function" && /^(env|wasi_snapshot_preview1)$/.test(space);
    const value = known
      ? (host[name] ?? (/^invoke_[a-z]+$/.test(name) ? invoker(name) : undefined))
      : undefined;
    if (value === undefined)
      throw new PdfiumFault(`it needs ${space}.${name}, which this version does not know`);
    imports[space] = { ...imports[space], [name]: value };
  }
  /** Calls through the table, and comes back where C code jumps. */
  function invoker(name: string) {
    const givesNothing = name.startsWith("invoke_v");
    return (index = 0, ...values: number[]): number | undefined => {
      const stack = call.emscripten_stack_get_current?.() as number;
      try {
        return (table.get(index) as (...values: number[]) => number)(...values);
      } catch (error) {
        call._emscripten_stack_restore?.(stack);
        if (!(error instanceof LongJump)) throw error;
        call.setThrew?.(1, 0);
        return givesNothing ? undefined : 0;
      }
    };
  }
  const { exports } = await WebAssembly.instantiate(module, imports);
  const call = exports as unknown as PdfiumExports;
  const memory = exports.memory as WebAssembly.Memory;
  const table = exports.__indirect_function_table as WebAssembly.Table;
  const missing = NEEDED.find((name) => typeof exports[name] !== "function");
  if (missing !== undefined) throw new PdfiumFault(`it has no function ${missing}`);
  call.emscripten_stack_init?.();
  call.__wasm_call_ctors?.();
  return {
    call,
    bytes: () => new Uint8Array(memory.buffer),
    view: () => new DataView(memory.buffer),
    get isOutOfMemory() {
      return isOutOfMemory;
    },
  };
}

const NEEDED = [
  "malloc",
  "free",
  "setThrew",
  "emscripten_stack_get_current",
  "_emscripten_stack_restore",
  "FPDF_InitLibraryWithConfig",
  "FPDF_LoadMemDocument",
  "FPDF_GetLastError",
  "FPDF_GetPageCount",
  "FPDF_LoadPage",
  "FPDF_GetPageWidthF",
  "FPDF_GetPageHeightF",
  "FPDF_RenderPageBitmap",
  "FPDF_FFLDraw",
  "FPDFDOC_InitFormFillEnvironment",
  "FORM_OnAfterLoadPage",
  "FPDFBitmap_CreateEx",
  "FPDFBitmap_FillRect",
  "FPDFBitmap_GetBuffer",
  "FPDFBitmap_GetStride",
  "FPDFBitmap_Destroy",
];
