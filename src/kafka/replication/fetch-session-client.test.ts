import { describe, expect, test } from "vitest";
import { ErrorCode } from "../protocol/error-codes.ts";
import { FetchSessionClient, nextSessionEpoch } from "./fetch-session-client.ts";

interface Wanted {
  readonly name: string;
  readonly offset: number;
}

class Bench {
  readonly session = new FetchSessionClient<Wanted>((a, b) => a.offset === b.offset);

  set(name: string, offset: number): void {
    this.session.set(name, { name, offset });
  }

  /** `id/epoch`, what is sent, what is forgotten. */
  build(): string {
    const { sessionId, epoch, send, forget } = this.session.build();
    return `${sessionId}/${epoch} +${send.map(({ name, offset }) => `${name}@${offset}`).join(",")} -${forget.map(({ name }) => name).join(",")}`;
  }

  /** A session 7 that holds a@0 and b@0, one answer in. */
  static open(): Bench {
    const bench = new Bench();
    bench.set("a", 0);
    bench.set("b", 0);
    expect(bench.build()).toBe("0/0 +a@0,b@0 -");
    expect(bench.session.answered(0, 7, ["a", "b"])).toBe(true);
    return bench;
  }
}

describe("a full request", () => {
  test("names all in the order in which they were last set", () => {
    const bench = new Bench();
    for (const name of ["a", "b", "c"]) bench.set(name, 0);
    bench.set("a", 5);
    expect(bench.build()).toBe("0/0 +b@0,c@0,a@5 -");
  });

  test("opens a session where the answer has an id, and is repeated where it has none", () => {
    const bench = Bench.open();
    expect(bench.build()).toBe("7/1 + -");
    const none = new Bench();
    none.set("a", 0);
    none.build();
    expect(none.session.answered(0, 0, ["a"])).toBe(true);
    expect(none.build()).toBe("0/0 +a@0 -");
  });

  test("is begun anew where the answer lacks a partition, has one too many, or another", () => {
    for (const names of [["a"], ["a", "b", "c"], ["a", "c"], ["a", "a"], []]) {
      const bench = new Bench();
      bench.set("a", 0);
      bench.set("b", 0);
      bench.build();
      expect(bench.session.answered(0, 7, names)).toBe(false);
      expect(bench.build()).toBe("0/0 +a@0,b@0 -");
    }
  });

  test("that was to close a session, and was answered badly, is begun anew without it", () => {
    const bench = Bench.open();
    bench.session.failed();
    expect(bench.build()).toBe("7/0 +a@0,b@0 -");
    expect(bench.session.answered(0, 8, ["a"])).toBe(false);
    expect(bench.build()).toBe("0/0 +a@0,b@0 -");
  });

  test("of nothing is not due", () => {
    const bench = new Bench();
    expect(bench.session.due).toBe(false);
    bench.set("a", 0);
    expect(bench.session.due).toBe(true);
    bench.build();
    bench.session.failed();
    bench.session.set("a", undefined);
    expect(bench.session.due).toBe(false);
  });
});

describe("an incremental request", () => {
  test("names what is new or differs, and nothing else", () => {
    const bench = Bench.open();
    bench.set("a", 3);
    bench.set("b", 0);
    bench.set("c", 9);
    expect(bench.build()).toBe("7/1 +a@3,c@9 -");
    expect(bench.session.answered(0, 7, [])).toBe(true);
    expect(bench.build()).toBe("7/2 + -");
  });

  test("forgets what is wanted no more, and is due for that alone", () => {
    const bench = Bench.open();
    bench.session.set("a", undefined);
    bench.session.set("b", undefined);
    expect(bench.session.due).toBe(true);
    expect(bench.build()).toBe("7/1 + -a,b");
    expect(bench.session.answered(0, 0, [])).toBe(true);
    expect(bench.session.due).toBe(false);
  });

  test("keeps what went and came back as it was, and sends what came back otherwise", () => {
    const bench = Bench.open();
    for (const name of ["a", "b"]) bench.session.set(name, undefined);
    bench.set("a", 0);
    bench.set("b", 4);
    expect(bench.build()).toBe("7/1 +b@4 -");
  });

  test("sends again what was forgotten on the wire", () => {
    const bench = Bench.open();
    bench.session.set("a", undefined);
    expect(bench.build()).toBe("7/1 + -a");
    bench.set("a", 0);
    expect(bench.session.answered(0, 7, [])).toBe(true);
    expect(bench.build()).toBe("7/2 +a@0 -");
  });

  test("holds what changed while the one before was under way", () => {
    const bench = Bench.open();
    bench.set("a", 3);
    bench.build();
    bench.set("a", 8);
    bench.session.set("b", undefined);
    expect([bench.session.asked("a"), bench.session.asked("b")]).toEqual([
      { name: "a", offset: 3 },
      { name: "b", offset: 0 },
    ]);
    expect(bench.session.answered(0, 7, ["a", "b"])).toBe(true);
    expect(bench.build()).toBe("7/2 +a@8 -b");
    expect(bench.session.asked("b")).toBeUndefined();
  });

  test("is followed by a full one where the leader has ended the session", () => {
    const bench = Bench.open();
    bench.build();
    expect(bench.session.answered(0, 0, ["a"])).toBe(true);
    expect(bench.build()).toBe("0/0 +a@0,b@0 -");
  });

  test("is followed by a full one that closes the session where the answer names a partition outside it, or one twice", () => {
    for (const names of [["a", "x"], ["a", "a"]]) {
      const bench = Bench.open();
      bench.build();
      expect(bench.session.answered(0, 7, names)).toBe(false);
      expect(bench.build()).toBe("7/0 +a@0,b@0 -");
    }
  });

  test("may not be answered with what it forgets", () => {
    const bench = Bench.open();
    bench.session.set("a", undefined);
    bench.build();
    expect(bench.session.answered(0, 7, ["a"])).toBe(false);
  });
});

describe("errors", () => {
  test("an unknown session is forgotten here too", () => {
    const bench = Bench.open();
    bench.build();
    expect(bench.session.answered(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 0, [])).toBe(false);
    expect(bench.build()).toBe("0/0 +a@0,b@0 -");
  });

  test("any other closes the session with the next request", () => {
    for (const error of [ErrorCode.INVALID_FETCH_SESSION_EPOCH, ErrorCode.UNKNOWN_SERVER_ERROR]) {
      const bench = Bench.open();
      bench.build();
      expect(bench.session.answered(error, 0, [])).toBe(false);
      expect(bench.build()).toBe("7/0 +a@0,b@0 -");
      expect(bench.session.answered(0, 8, ["a", "b"])).toBe(true);
      expect(bench.build()).toBe("8/1 + -");
    }
  });

  test("where no answer came, the session is closed with the next request, and all is asked again", () => {
    const bench = Bench.open();
    bench.set("a", 3);
    bench.build();
    bench.session.failed();
    expect(bench.build()).toBe("7/0 +b@0,a@3 -");
  });
});

test("epochs count on to the last, and then from 1", () => {
  expect([nextSessionEpoch(1), nextSessionEpoch(0x7fff_fffe), nextSessionEpoch(0x7fff_ffff)]).toEqual([2, 0x7fff_ffff, 1]);
});
