import * as fc from "fast-check";
import { expect, test } from "vitest";
import { splitLines } from "./lines.ts";

async function lines(...chunks: readonly (string | Buffer)[]): Promise<string[]> {
  const given: string[] = [];
  for await (const line of splitLines(stream(chunks))) given.push(line);
  return given;
}

async function* stream(chunks: readonly (string | Buffer)[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) yield Buffer.from(chunk as string);
}

test("\\n, \\r and \\r\\n end a line, other separators of Unicode do not; the last one needs no end", async () => {
  expect(await lines("a\nb\rc\r\nd")).toEqual(["a", "b", "c", "d"]);
  expect(await lines("a\u2028b\u0085c\u000bd\n")).toEqual(["a\u2028b\u0085c\u000bd"]);
  expect(await lines("\n\r\r\n\n")).toEqual(["", "", "", ""]);
  expect([await lines(), await lines(""), await lines("a")]).toEqual([[], [], ["a"]]);
});

test("\\r\\n that is cut in two is one end, and a line that ends with \\r is given before anything follows", async () => {
  expect(await lines("a\r", "\nb", "\r", "", "\n", "\n")).toEqual(["a", "b", ""]);
  const given: string[] = [];
  const reading = (async () => {
    for await (const line of splitLines((async function* () {
      yield Buffer.from("a\r");
      await new Promise(() => undefined);
    })())) given.push(line);
  })();
  await Promise.race([reading, new Promise((done) => setImmediate(done))]);
  expect(given).toEqual(["a"]);
});

test("characters that are cut in two come whole, a byte order mark stays, what is no UTF-8 is U+FFFD", async () => {
  const euro = Buffer.from("€");
  expect(await lines(euro.subarray(0, 1), euro.subarray(1, 2), euro.subarray(2), "\n")).toEqual(["€"]);
  expect(await lines("\ufeffa\n")).toEqual(["\ufeffa"]);
  expect(await lines(Buffer.from([0x61, 0xff, 0x62, 0x0a]), euro.subarray(0, 2))).toEqual(["a\ufffdb", "\ufffd"]);
});

test("however the bytes are cut, the lines are the same", async () => {
  const text = fc.array(fc.constantFrom("a", "€", "\n", "\r", "\r\n", "\u2028", "😀"), { maxLength: 30 }).map((parts) => Buffer.from(parts.join("")));
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat(60), { maxLength: 10 }), async (bytes, cuts) => {
      const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].toSorted((a, b) => a - b);
      const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
      expect(await lines(...chunks)).toEqual(await lines(bytes));
    }),
  );
});
