/** A model for React components: loaded once for the page, whoever asks it. */
import { type GenerateOptions, loadModel, type Message, type Model } from "glimt";
import { useCallback, useEffect, useRef, useState } from "react";

export interface Glimt {
  readonly status: "loading" | "ready" | "answering" | "failed";
  /** Share of the weights that is loaded, 0 to 1. */
  readonly progress: number;
  /** The answer so far. */
  readonly text: string;
  /** Why the model or the last answer failed. */
  readonly error: Error | null;
  /** Asks for an answer, in place of one that is under way. */
  ask(messages: readonly Message[], options?: GenerateOptions): Promise<void>;
  /** Ends the answer that is under way; what is there stays. */
  stop(): void;
}

interface Loading {
  readonly model: Promise<Model>;
  share: number;
  readonly listeners: Set<(share: number) => void>;
}

/** They stay for the page: `loadModel` puts them in a worker, where they hold nothing up. */
const models = new Map<string, Loading>();

function load(location: string): Loading {
  const known = models.get(location);
  if (known) return known;
  const listeners: Loading["listeners"] = new Set();
  const onProgress = ({ loadedBytes, totalBytes }: { loadedBytes: number; totalBytes: number }) => {
    loading.share = loadedBytes / totalBytes;
    for (const listener of listeners) listener(loading.share);
  };
  const loading: Loading = { model: loadModel(location, { onProgress }), share: 0, listeners };
  models.set(location, loading);
  // Whoever asks next tries again.
  loading.model.catch(() => models.delete(location));
  return loading;
}

/** @param location a model of the Hub, or the address of one */
export function useGlimt(location: string): Glimt {
  const [status, setStatus] = useState<Glimt["status"]>("loading");
  const [progress, setProgress] = useState(0);
  const [text, setText] = useState("");
  const [error, setError] = useState<Error | null>(null);
  const running = useRef<AbortController | null>(null);

  useEffect(() => {
    const loading = load(location);
    let isHere = true;
    const fail = (cause: Error) => {
      setError(cause);
      setStatus("failed");
    };
    setStatus("loading");
    setError(null);
    setProgress(loading.share);
    loading.listeners.add(setProgress);
    loading.model.then(
      () => isHere && setStatus("ready"),
      (cause) => isHere && fail(cause),
    );
    return () => {
      isHere = false;
      loading.listeners.delete(setProgress);
      running.current?.abort();
    };
  }, [location]);

  const stop = useCallback(() => running.current?.abort(), []);

  const ask = useCallback(
    async (messages: readonly Message[], options: GenerateOptions = {}) => {
      running.current?.abort();
      const own = new AbortController();
      running.current = own;
      setText("");
      setError(null);
      let after: Glimt["status"] = "failed";
      try {
        const model = await load(location).model;
        after = "ready";
        setStatus("answering");
        for await (const { text: piece } of model.generate(messages, { ...options, signal: own.signal })) {
          if (!own.signal.aborted) setText((before) => before + piece);
        }
      } catch (cause) {
        if (!own.signal.aborted) setError(cause as Error);
      } finally {
        if (running.current === own) setStatus(after);
      }
    },
    [location],
  );

  return { status, progress, text, error, ask, stop };
}
