import { describe, expect, test } from "vitest";
import type { Ensemble } from "../../config/ensemble.ts";
import { electorateOf } from "./electorate.ts";
import { Election, type Candidacy } from "./election.ts";
import { NOTHING, type PeerState, type Vote } from "./notification.ts";

function ensembleOf(voting: readonly number[], extra: { observers?: readonly number[]; version?: number; groups?: Ensemble["groups"] } = {}): Ensemble {
  const member = (role: "participant" | "observer") => (id: number) => ({ id, host: "h", quorumPort: 1, electionPort: 2, role, clientAddress: undefined });
  return { members: [...voting.map(member("participant")), ...(extra.observers ?? []).map(member("observer"))], groups: extra.groups, version: extra.version ?? 0 };
}

const three = electorateOf(ensembleOf([1, 2, 3]));
const own: Candidacy = { lastZxid: 10, currentEpoch: 1 };

/** A member whose effects are written as lines, e.g. `2← looking 1/10 r1 e1`. */
class Script {
  now = 0;
  readonly election: Election;

  constructor(id: number, options: { electorate?: typeof three; role?: "participant" | "observer" } = {}) {
    this.election = new Election({ id, role: options.role ?? "participant", electorate: options.electorate ?? three });
  }

  start(candidacy = own): string[] {
    this.election.start(this.now, candidacy);
    return this.lines();
  }

  hear(from: number, state: PeerState, vote: Vote, version = 2): string[] {
    this.election.receive(this.now, from, { state, vote, version, config: undefined });
    return this.lines();
  }

  /** Time passes; the timer is looked at. */
  pass(ms: number, delivered = true): string[] {
    this.now += ms;
    this.election.timer(this.now, delivered);
    return this.lines();
  }

  lines(): string[] {
    return this.election.effects.map((effect) => {
      if (effect.kind === "timer") return effect.atMs === undefined ? "no timer" : `timer ${effect.atMs}`;
      if (effect.kind === "reconnect") return "reconnect";
      const { leader, zxid, round, peerEpoch } = effect.vote;
      const text = `${effect.state} ${leader}/${zxid} r${round} e${peerEpoch}`;
      return effect.kind === "send" ? `${effect.to}← ${text}` : `decided ${text}`;
    });
  }
}

const voteFor = (leader: number, round = 1, zxid = 10, peerEpoch = 1): Vote => ({ leader, zxid, round, peerEpoch });

describe("a round", () => {
  test("begins with a vote for oneself, told to all voters, and ends 200 ms after a quorum agrees", () => {
    const member = new Script(3);
    expect(member.start()).toEqual(["1← looking 3/10 r1 e1", "2← looking 3/10 r1 e1", "timer 200"]);
    member.now = 50;
    expect(member.hear(1, "looking", voteFor(1))).toEqual(["timer 250"]);
    expect(member.hear(1, "looking", voteFor(3))).toEqual([]);
    expect(member.pass(199)).toEqual(["timer 250"]);
    expect(member.pass(1)).toEqual(["decided leading 3/10 r1 e1", "no timer"]);
    expect(member.election.state).toBe("leading");
  });

  test("takes over a better vote, by epoch, zxid, then id, and tells all; a worse one is only recorded", () => {
    const member = new Script(2);
    member.start();
    expect(member.hear(1, "looking", voteFor(1))).toEqual([]);
    expect(member.hear(3, "looking", voteFor(3))).toEqual(["1← looking 3/10 r1 e1", "3← looking 3/10 r1 e1"]);
    expect(member.hear(1, "looking", voteFor(1, 1, 11))).toEqual(["1← looking 1/11 r1 e1", "3← looking 1/11 r1 e1"]);
    expect(member.hear(3, "looking", voteFor(3, 1, 5, 2))).toEqual(["1← looking 3/5 r1 e2", "3← looking 3/5 r1 e2"]);
    expect(member.pass(200)).toEqual(["decided following 3/5 r1 e2", "no timer"]);
  });

  test("that is higher is adopted: votes so far are forgotten, and the better of the newcomer's and one's own initial vote stands", () => {
    const member = new Script(2, { electorate: electorateOf(ensembleOf([1, 2, 3, 4, 5])) });
    const toAll = (text: string): string[] => [1, 3, 4, 5].map((id) => `${id}← looking ${text}`);
    member.start();
    member.hear(3, "looking", voteFor(3));
    // Member 1's vote is worse than this one's initial vote, though the vote of round 1 was for member 3.
    expect(member.hear(1, "looking", voteFor(1, 7))).toEqual(toAll("2/10 r7 e1"));
    expect(member.election.round).toBe(7);
    expect(member.hear(3, "looking", voteFor(3, 8))).toEqual(toAll("3/10 r8 e1"));
    expect(member.hear(1, "looking", voteFor(3, 7))).toEqual(["1← looking 3/10 r8 e1"]);
    // A vote between the initial one and the one of the round before.
    member.hear(4, "looking", voteFor(5, 8));
    expect(member.hear(1, "looking", voteFor(3, 9))).toEqual(toAll("3/10 r9 e1"));
    expect(member.pass(200).join()).not.toContain("decided");
    member.hear(3, "looking", voteFor(3, 9));
    expect(member.pass(200)).toEqual(["decided following 3/10 r9 e1", "no timer"]);
  });

  test("needs a quorum of votes that are equal: for one leader, with one zxid and epoch", () => {
    const decides = (other: Vote): boolean => {
      const member = new Script(2);
      member.start({ lastZxid: 20, currentEpoch: 5 });
      member.hear(1, "looking", other);
      return member.pass(200).join().includes("decided");
    };
    expect(decides(voteFor(2, 1, 20, 5))).toBe(true);
    expect(decides(voteFor(2, 1, 19, 5))).toBe(false);
    expect(decides(voteFor(2, 1, 20, 4))).toBe(false);
    expect(decides(voteFor(1, 1, 20, 5))).toBe(false);
    expect(decides(voteFor(2, 0, 20, 5))).toBe(false);
  });

  test("counts nothing that was heard before it began, though its number may come again", () => {
    const member = new Script(2, { electorate: electorateOf(ensembleOf([1, 2, 3, 4, 5])) });
    member.start();
    member.hear(1, "looking", voteFor(3, 5));
    // An established ensemble of a lower round is joined, and soon lost.
    for (const id of [4, 5]) member.hear(id, "following", voteFor(3, 4));
    expect(member.hear(3, "leading", voteFor(3, 4)).join()).toContain("decided following 3/10 r4");
    member.start();
    expect(member.election.round).toBe(5);
    member.hear(3, "looking", voteFor(3, 5));
    expect(member.pass(200).join()).not.toContain("decided");
    // Nor does the word of the leader that was lost count any more.
    for (const id of [4, 5, 1]) expect(member.hear(id, "following", voteFor(3, 4)).join()).not.toContain("decided");
  });

  test("that is lower is not counted, and its sender told of the vote here", () => {
    const member = new Script(2);
    member.start();
    member.hear(1, "looking", voteFor(1, 4));
    expect(member.hear(3, "looking", voteFor(3, 3))).toEqual(["3← looking 2/10 r4 e1"]);
    expect(member.hear(3, "looking", voteFor(2, 3))).toEqual(["3← looking 2/10 r4 e1"]);
    expect(member.pass(200)).toEqual(["1← looking 2/10 r4 e1", "3← looking 2/10 r4 e1", "timer 600"]);
  });

  test("does not end while something comes: worse messages prolong the wait, a better one undoes it", () => {
    const member = new Script(2);
    member.start();
    member.hear(1, "looking", voteFor(2));
    member.now = 150;
    expect(member.hear(1, "looking", voteFor(1))).toEqual(["timer 350"]);
    // Even a higher round is thrown away here, unless its vote is better.
    expect(member.hear(1, "looking", voteFor(1, 9))).toEqual([]);
    expect(member.election.round).toBe(1);
    expect(member.hear(3, "looking", voteFor(3))).toEqual(["1← looking 3/10 r1 e1", "3← looking 3/10 r1 e1"]);
    member.now = 349;
    // A better vote of a lower round ends the wait, but is not taken: only the next notification looks at the quorum again.
    expect(member.hear(1, "looking", voteFor(3, 0, 99))).toEqual(["1← looking 3/10 r1 e1", "timer 549"]);
    expect(member.pass(200)).toEqual(["1← looking 3/10 r1 e1", "3← looking 3/10 r1 e1", "timer 749"]);
    expect(member.pass(200)).toEqual(["decided following 3/10 r1 e1", "no timer"]);
  });

  test("ends at once where every voter has voted so: of three, and of a lone one", () => {
    const member = new Script(3);
    member.start();
    member.hear(1, "looking", voteFor(3));
    expect(member.hear(2, "looking", voteFor(3))).toEqual(["decided leading 3/10 r1 e1", "no timer"]);
    const lone = new Script(1, { electorate: electorateOf(ensembleOf([1])) });
    expect(lone.start()).toEqual(["decided leading 1/10 r1 e1"]);
  });

  test("waits where a voter has voted otherwise, though the others are a quorum", () => {
    const member = new Script(3);
    member.start();
    member.hear(2, "looking", voteFor(2));
    expect(member.hear(1, "looking", voteFor(3))).toEqual([]);
    expect(member.pass(200)).toEqual(["decided leading 3/10 r1 e1", "no timer"]);
  });
});

test("silence is answered by telling all again, or by connecting where nothing was delivered, after 200 ms doubling to 60 s", () => {
  const member = new Script(1);
  member.start();
  let at = 200;
  for (let timeoutMs = 200, silences = 0; silences < 12; silences++) {
    timeoutMs = Math.min(2 * timeoutMs, 60_000);
    const delivered = silences % 2 === 0;
    expect(member.pass(at - member.now - 1, delivered)).toEqual([`timer ${at}`]);
    at += timeoutMs;
    expect(member.pass(1, delivered)).toEqual([...(delivered ? ["2← looking 1/10 r1 e1", "3← looking 1/10 r1 e1"] : ["reconnect"]), `timer ${at}`]);
  }
  // A message begins the silence anew, and does not shorten it.
  member.now += 5;
  expect(member.hear(2, "observing", voteFor(3))).toEqual([`timer ${at + 5}`]);
  expect(member.start().at(-1)).toBe(`timer ${member.now + 200}`);
});

describe("who is done", () => {
  test("answers a looking voter with the outcome, its own state and the elected round, and nobody else", () => {
    const member = new Script(3);
    member.start();
    member.hear(1, "looking", voteFor(3));
    member.pass(200);
    expect(member.hear(2, "looking", voteFor(2, 12))).toEqual(["2← leading 3/10 r1 e1"]);
    expect(member.hear(2, "following", voteFor(3))).toEqual([]);
    expect(member.hear(9, "looking", voteFor(NOTHING, 5))).toEqual(["9← leading 3/10 r1 e1"]);
    expect(member.hear(9, "observing", voteFor(3))).toEqual([]);
  });

  test("votes for the epoch that the leader began, once in sync with it, with zxid and round as elected", () => {
    const member = new Script(3);
    member.start();
    member.hear(1, "looking", voteFor(3));
    member.pass(200);
    member.election.synced(2);
    expect(member.hear(2, "looking", voteFor(2, 12))).toEqual(["2← leading 3/10 r1 e2"]);
    expect(member.election.vote).toEqual(voteFor(3, 1, 10, 2));
  });

  test("begins the next round one further, with what it has then", () => {
    const member = new Script(3);
    member.start();
    member.hear(1, "looking", voteFor(3));
    member.pass(200);
    expect(member.start({ lastZxid: 70, currentEpoch: 2 })).toEqual(["1← looking 3/70 r2 e2", "2← looking 3/70 r2 e2", "timer 400"]);
  });
});

describe("an ensemble that has a leader is joined", () => {
  test("on a quorum of equal votes, but only once the leader itself says that it leads; its round is adopted", () => {
    const member = new Script(1);
    member.start();
    const established = voteFor(3, 6, 10, 2);
    expect(member.hear(2, "following", established)).toEqual([]);
    expect(member.hear(3, "following", established)).toEqual([]);
    expect(member.hear(3, "leading", established)).toEqual(["decided following 3/10 r6 e2", "no timer"]);
    expect(member.election.round).toBe(6);
  });

  test("not on the word of the followers of a leader that has died", () => {
    const member = new Script(1, { electorate: electorateOf(ensembleOf([1, 2, 3, 4, 5])) });
    member.start();
    for (const follower of [2, 3, 4]) expect(member.hear(follower, "following", voteFor(5, 6)).join()).not.toContain("decided");
    expect(member.election.state).toBe("looking");
  });

  test("though zxid and round of the votes differ, but not their epochs, unless one is of a version without them", () => {
    const join = (follower: Vote, version = 2): boolean => {
      const member = new Script(1);
      member.start();
      member.hear(2, "following", follower, version);
      return member.hear(3, "leading", voteFor(3, 6, 10, 2)).join().includes("decided");
    };
    expect(join(voteFor(3, 6, 10, 2))).toBe(true);
    expect(join(voteFor(3, 4, 9, 2))).toBe(true);
    expect(join(voteFor(3, 6, 10, 1))).toBe(false);
    expect(join(voteFor(3, 6, 10, 1), 0)).toBe(true);
    expect(join(voteFor(2, 6, 10, 2))).toBe(false);
  });

  test("in the same round together with votes of those who still look", () => {
    const five = electorateOf(ensembleOf([1, 2, 3, 4, 5]));
    const member = new Script(1, { electorate: five });
    member.start();
    member.hear(2, "looking", voteFor(5));
    member.hear(4, "following", voteFor(5));
    // The leader's word is looked for among what came before this message.
    expect(member.hear(5, "leading", voteFor(5)).join()).not.toContain("decided");
    expect(member.hear(5, "leading", voteFor(5))).toEqual(["decided following 5/10 r1 e1", "no timer"]);
  });

  test("by the leader that everybody names, though it remembers nothing of it, only in that round", () => {
    const member = new Script(3);
    member.start();
    member.hear(1, "following", voteFor(3, 2));
    expect(member.hear(2, "following", voteFor(3, 2)).join()).not.toContain("decided");
    member.hear(2, "looking", voteFor(1, 2));
    expect(member.hear(2, "following", voteFor(3, 2)).join()).toContain("decided leading 3/10 r2");
  });
});

describe("who counts", () => {
  test("is a voter that votes for a voter; a looking non-voter is answered with the current vote and the round", () => {
    const member = new Script(1, { electorate: electorateOf(ensembleOf([1, 2, 3], { observers: [4] })) });
    member.start();
    expect(member.hear(4, "looking", { leader: NOTHING, zxid: NOTHING, round: 3, peerEpoch: NOTHING })).toEqual(["4← looking 1/10 r1 e1"]);
    expect(member.hear(3, "looking", voteFor(4))).toEqual([]);
    expect(member.hear(2, "looking", voteFor(7, 1, 999))).toEqual([]);
    expect(member.hear(2, "observing", voteFor(3))).toEqual([]);
    expect(member.pass(200)[0]).toBe("2← looking 1/10 r1 e1");
  });

  test("does not include an observer, which votes for nothing and follows whom the voters elect", () => {
    const observer = new Script(4, { role: "observer", electorate: electorateOf(ensembleOf([1, 2, 3], { observers: [4] })) });
    expect(observer.start()).toEqual([1, 2, 3].map((id) => `${id}← looking ${NOTHING}/${NOTHING} r1 e${NOTHING}`).concat("timer 200"));
    observer.hear(2, "following", voteFor(3, 5));
    expect(observer.hear(3, "leading", voteFor(3, 5))).toEqual(["decided observing 3/10 r5 e1", "no timer"]);
  });

  test("is asked of both configurations while a next one is under way", () => {
    const member = new Script(1, { electorate: electorateOf(ensembleOf([1, 2, 3]), ensembleOf([3, 4, 5], { version: 9 })) });
    expect(member.start().filter((line) => line.includes("←")).length).toBe(4);
    member.hear(2, "looking", voteFor(5));
    member.hear(3, "looking", voteFor(5));
    expect(member.pass(200).join()).not.toContain("decided");
    member.hear(5, "looking", voteFor(5));
    expect(member.pass(200).join()).toContain("decided following 5/10");
  });

  test("with groups, a voter without weight does not win", () => {
    const groups = { members: new Map([[1, [1, 2, 3]]]), weights: new Map([[3, 0]]) };
    const member = new Script(2, { electorate: electorateOf(ensembleOf([1, 2, 3], { groups })) });
    member.start();
    expect(member.hear(3, "looking", voteFor(3, 1, 99))).toEqual([]);
    member.hear(1, "looking", voteFor(2));
    expect(member.pass(200)).toEqual(["decided leading 2/10 r1 e1", "no timer"]);
  });

  test("another configuration counts from the next start on", () => {
    const member = new Script(1);
    member.start();
    member.election.reconfigure(electorateOf(ensembleOf([1, 2])));
    expect(member.start()).toEqual(["2← looking 1/10 r2 e1"]);
  });
});

test("nothing is heard before the first start", () => {
  const member = new Script(1);
  expect(member.hear(2, "looking", voteFor(2))).toEqual([]);
  expect(member.pass(1000)).toEqual([]);
  expect(() => member.election.synced(1)).toThrow("only a member that has a leader");
});
