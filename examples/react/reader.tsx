/** Reads a picture that somebody chooses, on their own machine. */
import type { ChangeEvent } from "react";
import { useGlimt } from "./use-glimt.ts";

export function Reader({ model = "zai-org/GLM-OCR" }: { readonly model?: string }) {
  const { status, progress, text, error, ask, stop } = useGlimt(model);

  const read = ({ target }: ChangeEvent<HTMLInputElement>) => {
    const image = target.files?.[0];
    if (!image) return;
    const content = [
      { type: "image", image },
      { type: "text", text: "Text Recognition:" },
    ] as const;
    void ask([{ role: "user", content }], { maxTokens: 2048 });
  };

  return (
    <section>
      <input
        type="file"
        accept="image/*"
        aria-label="Picture"
        disabled={status === "loading"}
        onChange={read}
      />
      {status === "loading" && <progress aria-label="Loading the model" value={progress} />}
      {status === "answering" && (
        <button type="button" onClick={stop}>
          Stop
        </button>
      )}
      {error && <p role="alert">{error.message}</p>}
      <pre aria-live="polite">{text}</pre>
    </section>
  );
}
