/** The page's elements by id, and small pieces of it. */

/** @throws Error where the page has no such element, which is a mistake of ours */
export function byId<T extends Element>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (element instanceof type) return element;
  throw new Error(`The page has no ${type.name} #${id}.`);
}

type Properties<K extends keyof HTMLElementTagNameMap> = Partial<
  Omit<HTMLElementTagNameMap[K], "children" | "style" | "dataset">
>;

/** An element with its properties and what is in it; text is text, never markup. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Properties<K> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Rows of a `<dl>`: what it is called, and what it is. */
export function showFacts(
  list: HTMLElement,
  rows: readonly (readonly [name: string, value: string])[],
): void {
  list.replaceChildren(
    ...rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
  );
}
