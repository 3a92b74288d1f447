import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { followNodeLog, lastLines, readableLine, rotateNodeLog } from "./node-log.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "odradek-log-"));
  path = join(directory, "node.log");
});
afterEach(() => rmSync(directory, { recursive: true }));

test("the last lines of a file are whole ones, also where it is long, short or missing", () => {
  expect(lastLines(path, 3)).toEqual([]);
  writeFileSync(path, "one\ntwo\n");
  expect(lastLines(path, 3)).toEqual(["one", "two"]);
  expect(lastLines(path, 1)).toEqual(["two"]);
  writeFileSync(path, `${"x".repeat(70_000)}\nlast\n`);
  expect(lastLines(path, 3)).toEqual(["last"]);
});

test("a large file is emptied in place, and what it held is kept five times", () => {
  writeFileSync(path, "small\n");
  rotateNodeLog(path);
  expect(readFileSync(path, "utf8")).toBe("small\n");
  for (let turn = 1; turn <= 7; turn++) {
    writeFileSync(path, `turn ${turn}`);
    truncateSync(path, 10 * 1024 * 1024);
    rotateNodeLog(path);
    expect(statSync(path).size).toBe(0);
  }
  expect([1, 2, 3, 4, 5].map((number) => readFileSync(`${path}.${number}`).subarray(0, 6).toString())).toEqual(["turn 7", "turn 6", "turn 5", "turn 4", "turn 3"]);
  expect(statSync(`${path}.6`, { throwIfNoEntry: false })).toBeUndefined();
});

test("following gives what is added, whole lines only, and begins again where the file was emptied", async () => {
  writeFileSync(path, "before\n");
  const seen: string[] = [];
  const ended = new AbortController();
  let heard: () => void = () => undefined;
  const until = (line: string): Promise<void> => new Promise((resolve) => (heard = () => seen.includes(line) && resolve()));
  const following = followNodeLog(path, (line) => (seen.push(line), heard()), { fromEnd: true, signal: ended.signal, pollMs: 1 });
  const first = until("half and whole");
  appendFileSync(path, "half ");
  appendFileSync(path, "and whole\n");
  await first;
  const second = until("anew");
  truncateSync(path);
  appendFileSync(path, "anew\n");
  await second;
  ended.abort();
  await following;
  expect(seen).toEqual(["half and whole", "anew"]);
});

test("a line for people has time, level, component and message, and all else; what is no log line stays as it is", () => {
  expect(readableLine('{"level":40,"time":0,"component":"broker","topic":"t","n":1,"msg":"hears"}')).toBe("1970-01-01T00:00:00.000Z WARN  broker: hears topic=t n=1");
  expect(readableLine('{"level":30,"time":0,"msg":"plain"}')).toBe("1970-01-01T00:00:00.000Z INFO  plain");
  expect(readableLine("Segmentation fault")).toBe("Segmentation fault");
  expect(readableLine('{"a":1}')).toBe('{"a":1}');
});
