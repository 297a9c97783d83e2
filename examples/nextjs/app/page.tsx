"use client";

/** Sends a picture to the route and shows the answer as it comes. */
import { type FormEvent, useState } from "react";

export default function Page() {
  const [text, setText] = useState("");
  const [isReading, setIsReading] = useState(false);

  const read = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const body = new FormData(event.currentTarget);
    setText("");
    setIsReading(true);
    try {
      const response = await fetch("/api/read", { method: "POST", body });
      const pieces = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let piece = await pieces?.read(); piece && !piece.done; piece = await pieces?.read()) {
        const { value } = piece;
        setText((before) => before + value);
      }
    } catch (error) {
      setText(String(error));
    } finally {
      setIsReading(false);
    }
  };

  return (
    <main>
      <form onSubmit={read}>
        <input name="image" type="file" accept="image/*" aria-label="Picture" required />
        <input name="question" defaultValue="Text Recognition:" aria-label="Question" />
        <button type="submit" disabled={isReading}>
          Read
        </button>
      </form>
      <pre aria-live="polite">{text}</pre>
    </main>
  );
}
