import { expect, test } from "vitest";
import { ErrorCode } from "../../src/kafka/protocol/error-codes.ts";
import { checkOffsets, type OffsetRules } from "./check-offsets.ts";
import type { CommitSeen, DeletionSeen, OffsetsSeen, Seen } from "./group-history.ts";

const { NONE } = ErrorCode;
const STRICT: OffsetRules = { mayExpire: () => false, mayGo: () => false };

class History {
  readonly seen: Seen[] = [];
  #place = 0;

  #asked(answer: number | "none") {
    const begun = this.#place++;
    return { group: "g", version: 9, broker: 1, begun, ended: answer === "none" ? Infinity : this.#place++, owned: true, epoch: 1, code: answer === "none" ? undefined : answer };
  }

  commit(number: number, answer: number | "none" = NONE, offset = number * 10): CommitSeen {
    const one: CommitSeen = { kind: "commit", ...this.#asked(answer), memberId: "", instanceId: null, generation: -1, offsets: [{ name: "t-0", offset, number }], codes: answer === "none" ? [] : [answer] };
    this.seen.push(one);
    return one;
  }

  /** Undefined: nothing is committed. */
  fetch(number: number | undefined, more: Partial<OffsetsSeen> = {}, offset = number === undefined ? -1 : number * 10): OffsetsSeen {
    const one: OffsetsSeen = { kind: "offsets", ...this.#asked(NONE), found: [{ name: "t-0", offset, number: number ?? -1 }], ...more };
    this.seen.push(one);
    return one;
  }

  delete(names: readonly string[] | null, answer: number | "none" = NONE): DeletionSeen {
    const one: DeletionSeen = { kind: "deletion", ...this.#asked(answer), names };
    this.seen.push(one);
    return one;
  }
}

function rule(tell: (history: History) => void, rules = STRICT): string | undefined {
  const history = new History();
  tell(history);
  try {
    checkOffsets(history.seen, rules);
    return undefined;
  } catch (error) {
    return (error as { rule?: string }).rule;
  }
}

test("a commit that was never answered may come late, over later ones; one that was answered may not", () => {
  const late = (answer: number | "none"): string | undefined =>
    rule((h) => {
      h.commit(1, answer);
      h.commit(2);
      h.fetch(2);
      h.fetch(1);
      h.commit(3);
      h.fetch(3);
    });
  expect(late("none")).toBeUndefined();
  expect(late(ErrorCode.COORDINATOR_NOT_AVAILABLE)).toBe("what is committed stays");
});

test("what was acknowledged is there, or a later one, even one that nobody heard of", () => {
  expect(
    rule((h) => {
      h.fetch(undefined);
      h.commit(1);
      h.fetch(1);
      h.commit(2, "none");
      h.commit(3, ErrorCode.COORDINATOR_NOT_AVAILABLE);
      h.fetch(3);
    }),
  ).toBeUndefined();
});

test("an older one, or none, is a loss", () => {
  for (const found of [1, undefined]) {
    expect(
      rule((h) => {
        h.commit(1);
        h.commit(2);
        h.fetch(found);
      }),
    ).toBe("what is committed stays");
  }
});

test("what was shown once stays as long as the coordinator's epoch, though it was never acknowledged", () => {
  const tell = (owned: boolean, epoch: number) => (h: History): void => {
    h.commit(1, "none");
    h.fetch(1, { owned });
    h.fetch(undefined, { epoch });
  };
  expect(rule(tell(true, 1))).toBe("what is committed stays");
  expect(rule(tell(true, 2))).toBeUndefined();
  expect(rule(tell(false, 1))).toBeUndefined();
});

test("what was acknowledged stays under every coordinator", () => {
  expect(
    rule((h) => {
      h.commit(1);
      h.fetch(undefined, { epoch: 2 });
    }),
  ).toBe("what is committed stays");
});

test("a fetch that was sent before the acknowledgement may miss it", () => {
  expect(
    rule((h) => {
      const early = h.fetch(undefined);
      early.ended = 100;
      h.commit(1);
    }),
  ).toBeUndefined();
});

test("what a broker says that coordinates no more is counted, not judged; but nobody may invent an offset", () => {
  const history = new History();
  history.commit(1);
  history.fetch(undefined, { owned: false });
  history.fetch(1);
  expect(checkOffsets(history.seen, STRICT)).toEqual({ judged: 1, outdated: 1 });
  expect(rule((h) => h.fetch(7, { owned: false }))).toBe("only what was committed is there");
  expect(
    rule((h) => {
      h.commit(1);
      h.fetch(1, {}, 999);
    }),
  ).toBe("only what was committed is there");
});

test("what was deleted may be gone: by name, with the whole group, or perhaps, where no answer came", () => {
  for (const [names, code] of [[["t-0"], NONE], [null, NONE], [["t-0"], "none"]] as const) {
    expect(
      rule((h) => {
        h.commit(1);
        h.delete(names, code);
        h.fetch(undefined);
      }),
    ).toBeUndefined();
  }
  for (const [names, code] of [[["t-1"], NONE], [["t-0"], ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC]] as const) {
    expect(
      rule((h) => {
        h.commit(1);
        h.delete(names, code);
        h.fetch(undefined);
      }),
    ).toBe("what is committed stays");
  }
});

test("what is committed after a deletion stays", () => {
  expect(
    rule((h) => {
      h.commit(1);
      h.delete(null);
      h.commit(2);
      h.fetch(undefined);
    }),
  ).toBe("what is committed stays");
});

test("offsets that may expire, or whose topic may go, may be none, but not older ones", () => {
  for (const rules of [{ ...STRICT, mayExpire: () => true }, { ...STRICT, mayGo: () => true }]) {
    const tell = (found: number | undefined) => (h: History): void => {
      h.commit(1);
      h.commit(2);
      h.fetch(found);
    };
    expect(rule(tell(undefined), rules)).toBeUndefined();
    expect(rule(tell(1), rules)).toBe("what is committed stays");
  }
});
