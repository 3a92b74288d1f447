import { describe, expect, test } from "vitest";
import { ErrorCode } from "../../src/kafka/protocol/error-codes.ts";
import { checkGroups } from "./check-groups.ts";
import type { CommitSeen, HeartbeatSeen, JoinSeen, Seen, SyncSeen } from "./group-history.ts";

const { NONE, MEMBER_ID_REQUIRED, FENCED_INSTANCE_ID, ILLEGAL_GENERATION } = ErrorCode;
const ID = "-00000000-0000-4000-8000-000000000000";

/** Each happens after the one before, unless it says otherwise. */
class History {
  readonly seen: Seen[] = [];
  #place = 0;

  #asked(code: number | undefined, owned = true) {
    const begun = this.#place++;
    return { group: "g", version: 9, broker: 1, begun, ended: code === undefined ? Infinity : this.#place++, owned, epoch: 1, code };
  }

  #add<S extends Seen>(seen: S): S {
    this.seen.push(seen);
    return seen;
  }

  join(memberId: string, generation: number, leader: string, more: Partial<JoinSeen> = {}): JoinSeen {
    return this.#add({ kind: "join", ...this.#asked(more.code ?? NONE), memberId: "", instanceId: null, given: { memberId, generation, leader, protocol: "range" }, ...more });
  }

  sync(memberId: string, generation: number, assigned: readonly string[], shared?: Readonly<Record<string, readonly string[]>>, more: Partial<SyncSeen> = {}): SyncSeen {
    const code = "code" in more ? more.code : NONE;
    return this.#add({ kind: "sync", ...this.#asked(code), memberId, instanceId: null, generation, shared: shared && new Map(Object.entries(shared)), assigned, ...more, code });
  }

  commit(memberId: string, generation: number, codes: readonly number[], more: Partial<CommitSeen> = {}): CommitSeen {
    return this.#add({ kind: "commit", ...this.#asked(codes[0]), memberId, instanceId: null, generation, offsets: [], codes, ...more });
  }

  heartbeat(memberId: string, generation: number, code: number, more: Partial<HeartbeatSeen> = {}): HeartbeatSeen {
    return this.#add({ kind: "heartbeat", ...this.#asked(code), memberId, instanceId: null, generation, ...more });
  }
}

function rule(tell: (history: History) => void, lasting = true): string | undefined {
  const history = new History();
  tell(history);
  try {
    checkGroups(history.seen, () => lasting);
    return undefined;
  } catch (error) {
    return (error as { rule?: string }).rule;
  }
}

/** Members a and b in generation 1; a leads. */
function twoMembers(h: History): void {
  h.join("a", 1, "a");
  h.join("b", 1, "a");
  h.sync("a", 1, ["t-0"], { a: ["t-0"], b: ["t-1"] });
  h.sync("b", 1, ["t-1"]);
}

test("a history in which all is well holds", () => {
  expect(
    rule((h) => {
      twoMembers(h);
      h.commit("a", 1, [NONE]);
      h.heartbeat("b", 1, NONE);
      h.join("b", 2, "b");
      h.commit("a", 1, [NONE]);
      h.sync("b", 2, ["t-0", "t-1"], { b: ["t-0", "t-1"] });
      h.commit("a", 1, [ILLEGAL_GENERATION]);
    }),
  ).toBeUndefined();
});

describe("a generation", () => {
  test("with two owners of a partition", () => {
    const tell = (h: History): void => {
      h.sync("a", 1, ["t-0"], { a: ["t-0"], b: ["t-0"] });
      h.sync("b", 1, ["t-0"]);
    };
    expect(rule(tell)).toBe("a partition has one owner in a generation");
    expect(rule(tell, false)).toBeUndefined();
  });

  test("with two leaders, or two protocols, among those who have an assignment", () => {
    const tell = (leader: string, protocol: string) => (h: History): void => {
      h.join("a", 1, "a");
      h.join("b", 1, "a", { given: { memberId: "b", generation: 1, leader, protocol } });
      h.sync("a", 1, [], { a: [], b: [] });
      h.sync("b", 1, []);
    };
    expect(rule(tell("b", "range"))).toBe("members of a generation agree on its protocol and leader");
    expect(rule(tell("a", "roundrobin"))).toBe("members of a generation agree on its protocol and leader");
    expect(rule(tell("a", "range"))).toBeUndefined();
  });

  test("that was handed out and never came about may be another one the next time", () => {
    expect(
      rule((h) => {
        h.join("z", 1, "z");
        h.sync("z", 1, [], { z: ["t-0"] }, { code: ErrorCode.NOT_COORDINATOR });
        twoMembers(h);
      }),
    ).toBeUndefined();
  });

  test("that was handed out before to the same members, and could not be kept", () => {
    expect(
      rule((h) => {
        h.join("b", 1, "b");
        twoMembers(h);
      }),
    ).toBeUndefined();
  });

  test("in which a member has what its leader did not give it", () => {
    expect(
      rule((h) => {
        h.sync("a", 1, ["t-0"], { a: ["t-0"], b: ["t-1"] });
        h.sync("b", 1, ["t-1", "t-2"]);
      }),
    ).toBe("members own what their leader has handed out");
    expect(rule((h) => h.sync("b", 1, ["t-1"]))).toBe("members own what their leader has handed out");
  });

  test("in which a static member comes back under another id has one owner, and one leader", () => {
    expect(
      rule((h) => {
        const [one, two] = [`i${ID}`, `i${ID.replace("-0", "-1")}`];
        h.join(one, 1, one, { instanceId: "i" });
        h.sync(one, 1, ["t-0"], { [one]: ["t-0"] }, { instanceId: "i" });
        h.join(two, 1, two, { instanceId: "i" });
        h.sync(two, 1, ["t-0"], undefined, { instanceId: "i" });
      }),
    ).toBeUndefined();
  });

  test("that begins after a later one", () => {
    const tell = (h: History): void => {
      h.sync("a", 5, [], { a: [] });
      h.sync("b", 4, [], { b: [] });
    };
    expect(rule(tell)).toBe("generations rise");
    expect(rule(tell, false)).toBeUndefined();
    expect(
      rule((h) => {
        h.sync("b", 4, [], { b: [] }, { code: undefined });
        h.sync("a", 5, [], { a: [] });
        h.sync("b", 4, []);
      }),
      "its first attempt may have been heard",
    ).toBeUndefined();
  });
});

describe("an earlier generation", () => {
  test("commits once a later one is known", () => {
    expect(
      rule((h) => {
        twoMembers(h);
        h.sync("b", 2, [], { b: [] });
        h.commit("a", 1, [ILLEGAL_GENERATION, NONE]);
      }),
    ).toBe("a commit of an earlier generation is refused");
  });

  test("commits while the later one is on its way", () => {
    expect(
      rule((h) => {
        twoMembers(h);
        const late = h.commit("a", 1, [NONE]);
        h.sync("b", 2, [], { b: [] });
        late.ended = 100;
      }),
    ).toBeUndefined();
  });

  test("is greeted by its coordinator; one of before may still do so", () => {
    const tell = (owned: boolean) => (h: History): void => {
      twoMembers(h);
      h.sync("b", 2, [], { b: [] });
      h.heartbeat("a", 1, NONE, { owned });
    };
    expect(rule(tell(true))).toBe("a member of an earlier generation is told to join");
    expect(rule(tell(false))).toBeUndefined();
  });
});

describe("ids", () => {
  test("MEMBER_ID_REQUIRED to a static member, to an old client, to one that has an id, or without one", () => {
    const required = { code: MEMBER_ID_REQUIRED };
    const told = (more: Partial<JoinSeen>) => rule((h) => h.join("a", -1, "", { ...required, ...more }));
    expect(told({})).toBeUndefined();
    for (const wrong of [{ instanceId: "i" }, { version: 3 }, { memberId: "a" }, { given: { memberId: "", generation: -1, leader: "", protocol: "" } }]) expect(told(wrong), `told to ${JSON.stringify(wrong)}`).toBe("who is told to come back with an id");
  });

  test("a static member that was replaced and is taken for what it was", () => {
    const instance = { instanceId: "i" };
    const tell = (after: (h: History) => void) => (h: History): void => {
      h.join("one", 1, "one", instance);
      h.sync("one", 1, [], { one: [] }, instance);
      h.heartbeat("one", 1, NONE, instance);
      h.join("two", 1, "one", instance);
      h.sync("two", 1, [], undefined, instance);
      after(h);
    };
    const rule2 = (after: (h: History) => void) => rule(tell(after), false);
    expect(rule2((h) => h.heartbeat("one", 1, FENCED_INSTANCE_ID, instance))).toBeUndefined();
    expect(rule2((h) => h.heartbeat("two", 1, NONE, instance))).toBeUndefined();
    expect(rule2((h) => h.heartbeat("one", 1, NONE, instance))).toBe("who was replaced is fenced");
    expect(rule2((h) => h.commit("one", 1, [NONE], instance))).toBe("who was replaced is fenced");
    expect(rule2((h) => h.join("one", 2, "one", { ...instance, memberId: "one" }))).toBe("who was replaced is fenced");
    expect(rule2((h) => h.heartbeat("one", 1, NONE, { ...instance, owned: false }))).toBeUndefined();
  });

  test("a replacement that never had its assignment may be forgotten", () => {
    expect(
      rule((h) => {
        h.join("one", 1, "one", { instanceId: "i" });
        h.join("two", 1, "one", { instanceId: "i" });
        h.heartbeat("one", 1, NONE, { instanceId: "i" });
      }, false),
    ).toBeUndefined();
  });
});
