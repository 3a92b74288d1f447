import { describe, expect, test } from "vitest";
import { LeaderEpochs } from "./leader-epochs.ts";

const epochs = (...entries: readonly (readonly [number, number])[]): LeaderEpochs => LeaderEpochs.of(entries.map(([epoch, startOffset]) => ({ epoch, startOffset })));
const entriesOf = (of: LeaderEpochs): number[][] => of.entries.map((entry) => [entry.epoch, entry.startOffset]);

describe("assignment", () => {
  test("the latest epoch keeps its first start; a later epoch is added", () => {
    const history = epochs([1, 10]);
    history.assign(1, 15);
    expect(history.changed).toBe(false);
    history.assign(3, 20);
    expect([entriesOf(history), history.changed]).toEqual([[[1, 10], [3, 20]], true]);
  });

  test("entries that contradict the new one are dropped", () => {
    const history = epochs([1, 10], [2, 20], [3, 30]);
    history.assign(4, 20);
    expect(entriesOf(history)).toEqual([[1, 10], [4, 20]]);
    history.assign(2, 50);
    expect(entriesOf(history)).toEqual([[1, 10], [2, 50]]);
    history.assign(2, 40);
    expect(entriesOf(history)).toEqual([[1, 10], [2, 40]]);
  });
});

test("where an epoch ended: by the next one, by the log's end, or unknown", () => {
  const history = epochs([2, 10], [4, 20]);
  const end = (epoch: number) => history.endOffsetFor(epoch, 33);
  expect(end(-1)).toBeUndefined();
  expect(end(4)).toEqual({ epoch: 4, endOffset: 33 });
  expect(end(5)).toBeUndefined();
  expect(end(1)).toEqual({ epoch: 1, endOffset: 10 });
  expect(end(2)).toEqual({ epoch: 2, endOffset: 20 });
  expect(end(3)).toEqual({ epoch: 2, endOffset: 20 });
  expect(epochs().endOffsetFor(0, 33)).toBeUndefined();
});

test("a truncation at the end drops epochs that begin there or later", () => {
  const history = epochs([1, 10], [2, 20], [3, 30]);
  history.truncateFromEnd(20);
  expect(entriesOf(history)).toEqual([[1, 10]]);
  history.changed = false;
  history.truncateFromEnd(11);
  expect(history.changed).toBe(false);
});

test("a truncation at the start keeps the epoch that holds there, beginning there", () => {
  const history = epochs([1, 10], [2, 20], [3, 30]);
  history.truncateFromStart(25);
  expect(entriesOf(history)).toEqual([[2, 25], [3, 30]]);
  history.changed = false;
  history.truncateFromStart(25);
  history.truncateFromStart(5);
  expect([entriesOf(history), history.changed]).toEqual([[[2, 25], [3, 30]], false]);
  history.truncateFromStart(30);
  expect(entriesOf(history)).toEqual([[3, 30]]);
});
