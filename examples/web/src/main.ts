/** The page: a model, a picture, a question, and what the model sees of it. */
import type { GenerationEvent, ProcessedInputs } from "glimt";
import { AnswerView } from "./answer.ts";
import { type Answered, ask } from "./asking.ts";
import { AttentionShown } from "./attention-shown.ts";
import { DEMO, type ModelChoice, mostFrames } from "./choice.ts";
import { byId, showFacts } from "./dom.ts";
import { figuresOf } from "./figures.ts";
import { chooseFile, FIRST_SAMPLE, sampleMedia, watchIntake } from "./intake.ts";
import { ModelHolder } from "./loading.ts";
import type { Media } from "./media.ts";
import { ModelButton } from "./model-button.ts";
import { ModelDialog } from "./model-dialog.ts";
import { hideNotice, showNotice } from "./notice-view.ts";
import { QuestionForm } from "./question.ts";
import { type Seen, seenIn } from "./seen.ts";
import { Sight } from "./sight.ts";
import { Viewer } from "./viewer.ts";
import { type Doing, type Notice, noModelNotice, noticeOf, type Remedy } from "./words.ts";
import { hideWork, showWork } from "./work-view.ts";

const STAGES = { vision: "Looking at it", prefill: "Reading the question" } as const;

const NOTHING = "The model said nothing.";

class Page {
  readonly #holder = new ModelHolder();
  readonly #viewer = new Viewer();
  readonly #sight = new Sight();
  readonly #button = new ModelButton(() => this.#dialog.open());
  readonly #dialog = new ModelDialog(
    (choice) => this.load(choice),
    (notice) => this.#say(notice),
  );
  readonly #attention = new AttentionShown((weights) => this.#viewer.showAttention(weights));
  readonly #answer = new AnswerView((token) => this.#attention.select(token));
  readonly #question = new QuestionForm(() => this.ask());
  #media: Media | null = null;
  #running: AbortController | null = null;

  constructor() {
    watchIntake({ take: (media) => this.take(media), refuse: (notice) => this.#say(notice) });
    byId("stop", HTMLButtonElement).addEventListener("click", () => this.stop());
    byId("hint-model", HTMLButtonElement).addEventListener("click", () => this.#dialog.open());
    byId("clear", HTMLButtonElement).addEventListener("click", () => this.#clear());
    byId("copy", HTMLButtonElement).addEventListener("click", () => this.#copy());
    // Before anything on the page hears it: what runs is what Escape ends.
    addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "Escape" || !this.#running || document.querySelector("dialog[open]")) return;
        event.preventDefault();
        event.stopPropagation();
        this.stop();
      },
      { capture: true },
    );
  }

  /** With the demo reader, and a sample unless the visitor was quicker. */
  async begin(): Promise<void> {
    this.load(DEMO);
    // Without the sample the page still asks for a picture.
    const sample = await sampleMedia(FIRST_SAMPLE).catch(() => null);
    if (!sample || this.#media) return;
    this.#media = sample;
    this.#viewer.showMedia(sample);
    if (this.#holder.model) await this.ask();
  }

  async load(choice: ModelChoice): Promise<void> {
    this.stop();
    hideNotice();
    this.#button.show(choice.name, "loading");
    byId("hint", HTMLElement).hidden = choice.location !== DEMO.location;
    const cancel = () => this.#holder.cancel();
    showWork({ name: `Opening ${choice.name}`, detail: "", share: 0 }, cancel);
    try {
      const model = await this.#holder.load(choice, (progress) => showWork(progress, cancel));
      this.#button.show(choice.name, "ready");
      byId("backend", HTMLElement).textContent = backendLine(model.backend);
      hideWork();
    } catch (error) {
      // Another was asked for meanwhile, whose progress is shown now.
      if (this.#holder.choice !== choice) return;
      hideWork();
      this.#button.show(choice.name, "none");
      this.#fail(error, "loading");
      return;
    }
    if (this.#media) await this.ask();
  }

  /** A picture or video to ask about, which is asked about at once. */
  take(media: Media): void {
    this.stop();
    hideNotice();
    this.#media = media;
    this.#clear();
    this.#sight.clear();
    this.#viewer.showMedia(media);
    this.ask();
  }

  /** Once a model is there, if one is on its way; what is under way ends. */
  async ask(): Promise<void> {
    const { model, choice } = this.#holder;
    if (!model || !choice) {
      if (!this.#holder.isLoading) this.#say(noModelNotice());
      return;
    }
    this.stop();
    hideNotice();
    this.#clear();
    const control = new AbortController();
    this.#running = control;
    this.#question.setRunning(true);
    try {
      const question = { media: this.#media, text: this.#question.text, maxFrames: mostFrames(choice) };
      const answered = await ask(
        model,
        question,
        {
          progress: (stage, share) => this.#isRunning(control) && this.#showStage(stage, share),
          seen: (inputs) => this.#isRunning(control) && this.#showSeen(inputs, seenIn(inputs, model)),
          token: (event) => this.#isRunning(control) && this.#addToken(event),
        },
        control.signal,
      );
      if (this.#isRunning(control)) this.#finish(answered);
    } catch (error) {
      if (this.#isRunning(control)) {
        this.#fail(error, "reading");
        this.#ended();
      }
    } finally {
      if (this.#isRunning(control)) {
        this.#running = null;
        this.#question.setRunning(false);
        hideWork();
      }
    }
  }

  stop(): void {
    if (!this.#running) return;
    this.#running.abort();
    this.#running = null;
    this.#question.setRunning(false);
    hideWork();
    this.#announce(this.#answer.isEmpty ? "Stopped." : `Stopped. ${this.#answer.text}`);
    this.#ended();
  }

  /** Not another, nor stopped. */
  #isRunning(control: AbortController): boolean {
    return this.#running === control;
  }

  #showStage(stage: "media" | keyof typeof STAGES, share: number): void {
    const reading = this.#media?.kind === "video" ? "Reading the video" : "Reading the picture";
    showWork({ name: stage === "media" ? reading : STAGES[stage], detail: "", share });
  }

  #showSeen(inputs: ProcessedInputs, seen: Seen | null): void {
    this.#attention.begin(inputs);
    this.#sight.show(inputs, seen, (frame) => this.#viewer.showFrame(frame));
    if (seen) this.#viewer.showSeen(seen).catch((error) => this.#fail(error, "reading"));
  }

  #addToken(event: GenerationEvent): void {
    hideWork();
    const { index, tokenId: id, text, type } = event;
    this.#answer.add({ index, id, text, isThought: type === "reasoning" });
    this.#attention.add(event);
  }

  #finish(answered: Answered): void {
    showFacts(byId("figures", HTMLElement), figuresOf(answered));
    this.#announce(this.#answer.isEmpty ? NOTHING : this.#answer.text);
    this.#ended();
    if (this.#answer.isEmpty) byId("token-detail", HTMLElement).textContent = NOTHING;
  }

  /** The answer, or as much of it as there is, stays. */
  #ended(): void {
    this.#attention.end();
    this.#answerButtons();
  }

  async #copy(): Promise<void> {
    const copied = navigator.clipboard.writeText(this.#answer.text);
    this.#announce(
      await copied.then(() => "Copied.").catch(() => "The browser does not let this page copy."),
    );
  }

  #clear(): void {
    this.#answer.clear();
    this.#attention.clear();
    this.#announce("");
    byId("figures", HTMLElement).replaceChildren();
    this.#answerButtons();
  }

  #answerButtons(): void {
    for (const id of ["copy", "clear"]) byId(id, HTMLButtonElement).hidden = this.#answer.isEmpty;
  }

  #announce(text: string): void {
    byId("announcer", HTMLElement).textContent = text;
  }

  #fail(error: unknown, doing: Doing): void {
    const notice = noticeOf(error, doing, navigator.onLine);
    if (!notice) return;
    if (notice.remedy === "load-again" && doing === "reading") {
      this.#holder.lose();
      this.#button.show(this.#holder.choice?.name ?? DEMO.name, "none");
    }
    this.#say(notice);
  }

  #say(notice: Notice): void {
    showNotice(notice, (remedy) => this.#follow(remedy));
  }

  #follow(remedy: Remedy): void {
    hideNotice();
    if (remedy === "choose-model") this.#dialog.open();
    if (remedy === "choose-file") chooseFile();
    if (remedy === "load-again") this.load(this.#holder.choice ?? DEMO);
  }
}

function backendLine({
  description,
  limits,
}: {
  readonly description: string;
  readonly limits: readonly string[];
}) {
  return [description, ...limits].join(" · ");
}

new Page().begin();
