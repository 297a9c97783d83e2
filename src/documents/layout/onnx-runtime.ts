/** What is used of onnxruntime-node and onnxruntime-web, which are alike. */

/** An input or output of an ONNX model. */
export interface OnnxTensor {
  /** Its sizes. */
  readonly dims: readonly number[];
  /** Its values, in an array of their type. */
  readonly data: unknown;
}

/** A model that was loaded. */
export interface OnnxSession {
  /** Names of its inputs. */
  readonly inputNames: readonly string[];
  /** Names of its outputs. */
  readonly outputNames: readonly string[];
  /** Runs it on inputs by name. @returns its outputs by name */
  run(feeds: Readonly<Record<string, OnnxTensor>>): Promise<Readonly<Record<string, OnnxTensor>>>;
  /** Frees it. */
  release(): Promise<void>;
}

/** The module `onnxruntime-node` or `onnxruntime-web`, as far as it is used. */
export interface OnnxRuntime {
  /** Models. */
  readonly InferenceSession: {
    /** Loads the bytes of an ONNX file. */
    create(model: Uint8Array): Promise<OnnxSession>;
  };
  /** Makes an input. */
  readonly Tensor: {
    /** Of float32 values. */
    new (type: "float32", data: Float32Array, dims: readonly number[]): OnnxTensor;
  };
}
