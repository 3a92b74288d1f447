import { expect, test } from "vitest";
import { errorCode } from "../lib/error.ts";
import { formatCsv, parseResetPlan } from "./csv.ts";

const codeOf = (task: () => unknown): string | undefined => {
  try {
    task();
    return undefined;
  } catch (error) {
    return `${errorCode(error)} ${(error as Error).message.split(" ")[0]}`;
  }
};

test("texts are quoted from 25 units on, and where a blank, a quote or a comma stands in them", () => {
  const [plain, long] = ["x".repeat(24), "x".repeat(25)];
  expect(formatCsv([[plain, 0, 5], [long, 1, 6], ["a b", 2, 7], ['a"b', 3, 8], ["a,b", 4, 9]])).toBe(`${plain},0,5\n"${long}",1,6\n"a b",2,7\n"a""b",3,8\n"a,b",4,9\n`);
});

test("what is written is read, with and without a group, with carriage returns and empty lines", () => {
  const rows = [{ group: 'g "1"', topic: "t,1", partition: 0, offset: 5 }, { group: "x".repeat(30), topic: "t", partition: 12, offset: 7 }];
  const text = formatCsv(rows.map(({ group, topic, partition, offset }) => [group, topic, partition, offset]));
  for (const told of [text, `${text}\n`, text.replaceAll("\n", "\r\n")]) {
    for (const single of [true, false]) expect(parseResetPlan(told, { origin: "f", single })).toEqual(rows);
  }
  expect(parseResetPlan(' t x , 1 ,"2"\n', { origin: "f", single: true })).toEqual([{ topic: " t x ", partition: 1, offset: 2 }]);
});

test("a line of another shape is refused, with its place", () => {
  const parse = (text: string, single = true) => codeOf(() => parseResetPlan(text, { origin: "f", single }));
  expect(parse("t,0,1\nt,1\n")).toBe("ERR_CSV f:2:");
  expect(parse("t,0,1\ng,t,0,1\n")).toBe("ERR_CSV f:2:");
  expect(parse("t,0,1\n", false)).toBe("ERR_CSV f:1:");
  expect(parse("t,0,\n")).toBe("ERR_CSV f:1:");
  expect(parse("t,0,9007199254740993\n")).toBe("ERR_CSV f:1:");
  expect(parse('"t,0,1\n')).toBe("ERR_CSV f:1:");
});
