/**
 * Pages by what they hold, beside a model of their memory: whatever is taken, shared, published and given back, nobody's
 * page is written by another, and what is found by a content holds it.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { NO_CONTENT, PageBook } from "../../src/runtime/page-book.ts";
import { fc } from "../property.ts";

function bookOf(numPages: number): PageBook {
  const book = new PageBook();
  book.grow(numPages);
  return book;
}

test("a page that nobody holds keeps its content until it is taken, the least recently held first", () => {
  const book = bookOf(3);
  const pages = book.take(2);
  const first = book.publish(pages[0]!, NO_CONTENT, "a");
  const second = book.publish(pages[1]!, first.content, "b");
  book.giveBack(pages.toReversed());
  assert.equal([book.numFree, book.numKnown], [3, 2]);
  assert.equal(book.find(first.content, "b"), second);
  assert.is(book.find(NO_CONTENT, "b"), null, "the rows alone are not the content");
  const taken = book.take(2);
  assert.equal(taken, [2, pages[1]], "a page without content, then the tail");
  assert.equal([book.find(NO_CONTENT, "a"), book.find(first.content, "b")], [first, null]);
  assert.is(book.evictions, 1);
  book.share(first.page);
  assert.throws(() => book.take(1), /0 free pages/);
});

test("who publishes what another page holds goes on with that page", () => {
  const book = bookOf(2);
  const [mine, other] = book.take(2) as [number, number];
  const known = book.publish(other, NO_CONTENT, "a");
  assert.equal(book.publish(mine, NO_CONTENT, "a"), known);
  assert.equal([book.holders(mine), book.holders(other)], [0, 2]);
  assert.equal(book.publish(other, NO_CONTENT, "a"), known);
  assert.is(book.holders(other), 2);
  assert.throws(() => book.giveBack([mine]), /by nobody who holds it/);
});

test("a content that comes again behind one that was lost is another", () => {
  const book = bookOf(2);
  const [first, second] = book.take(2) as [number, number];
  const before = book.publish(first, NO_CONTENT, "a").content;
  book.publish(second, before, "b");
  book.giveBack([first]);
  book.take(1);
  const again = book.publish(first, NO_CONTENT, "a").content;
  assert.is.not(again, before);
  assert.is(book.find(again, "b"), null);
});

/** A sequence of letters in pages of one letter each. */
interface Holder {
  text: string;
  readonly pages: number[];
  readonly contents: number[];
}

test("random sequences share, evict, grow and shrink: memory is what was published, and nothing leaks", () => {
  const action = fc.record({
    kind: fc.constantFrom("open", "extend", "extend", "publish", "leave", "grow", "forget", "shrink"),
    text: fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 6 }),
    which: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
      const book = bookOf(4);
      /** What each page holds: all letters up to it. */
      const memory: string[] = [];
      let open: Holder[] = [];
      const before = ({ contents }: Holder) => contents.at(-1) ?? NO_CONTENT;
      const adopt = (holder: Holder, text: string) => {
        while (holder.text.length < text.length && holder.contents.length === holder.pages.length) {
          const known = book.find(before(holder), text[holder.text.length]!);
          if (!known) return;
          book.share(known.page);
          holder.pages.push(known.page);
          holder.contents.push(known.content);
          holder.text = text.slice(0, holder.text.length + 1);
          assert.is(memory[known.page], holder.text, "what is found is what was published");
        }
      };
      for (const { kind, text, which } of actions) {
        const holder = open[which % Math.max(1, open.length)];
        if (kind === "open") {
          const opened: Holder = { text: "", pages: [], contents: [] };
          adopt(opened, text.join(""));
          open.push(opened);
        } else if (kind === "grow") book.grow(book.numPages + (which % 3));
        else if (kind === "forget") book.forgetFree();
        else if (kind === "shrink") {
          book.forgetFree();
          let numPages = book.numPages;
          while (numPages > 0 && book.isFree(numPages - 1)) numPages--;
          book.shrink(numPages);
        } else if (!holder) continue;
        else if (kind === "extend" && book.numFree > 0) {
          const [page] = book.take(1) as [number];
          assert.ok(!open.some(({ pages }) => pages.includes(page)), "no page has two writers");
          holder.text += text[0];
          holder.pages.push(page);
          memory[page] = holder.text;
        } else if (kind === "publish" && holder.contents.length < holder.pages.length) {
          const index = holder.contents.length;
          const known = book.publish(holder.pages[index]!, before(holder), holder.text[index]!);
          assert.is(memory[known.page], holder.text.slice(0, index + 1));
          holder.pages[index] = known.page;
          holder.contents.push(known.content);
        } else if (kind === "leave") {
          open = open.filter((other) => other !== holder);
          book.giveBack(holder.pages.toReversed());
        }
        const held = open.flatMap(({ pages }) => pages);
        for (let page = 0; page < book.numPages; page++) {
          assert.is(book.holders(page), held.filter((other) => other === page).length);
        }
        assert.is(book.numFree, book.numPages - new Set(held).size);
        for (const { text, pages } of open) {
          assert.equal(
            pages.map((page) => memory[page]),
            pages.map((_, index) => text.slice(0, index + 1)),
            "nobody's page was written by another",
          );
        }
      }
      for (const { pages } of open) book.giveBack(pages.toReversed());
      assert.is(book.numFree, book.numPages);
      book.forgetFree();
      assert.is(book.numKnown, 0);
      assert.is(book.take(book.numPages).length, book.numPages);
    }),
    { numRuns: 2000 },
  );
});

test.run();
