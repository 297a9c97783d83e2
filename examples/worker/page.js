// Asks the worker beside it: `await read(file)` is the text of a picture.
const worker = new Worker(new URL("./reader.js", import.meta.url), { type: "module" });
const reading = new Map();
let last = 0;

worker.onmessage = ({ data: { id, text, error } }) => {
  const { resolve, reject, pieces, onText } = reading.get(id);
  if (text !== undefined) {
    pieces.push(text);
    onText(text);
    return;
  }
  reading.delete(id);
  if (error === undefined) resolve(pieces.join(""));
  else reject(new Error(error));
};

/** A model of the Hub, or the address of one. */
export function open(model) {
  worker.postMessage({ model });
}

/** @param image a file of an input, a drop or a paste; it is passed on without reading it */
export function read(image, { question = "Text Recognition:", onText = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const id = ++last;
    reading.set(id, { resolve, reject, pieces: [], onText });
    worker.postMessage({ id, image, question });
  });
}
