import { expect, test } from "vitest";
import type { GroupRules } from "./group-core.ts";
import { dedent, GroupScript } from "./testing/group-script.ts";

function plays(text: string, rules: Partial<GroupRules> = {}): void {
  expect(new GroupScript(rules).play(dedent(text))).toEqual(dedent(text));
}

test("without an initial delay the first member's generation begins at the next ring, not within its request", () => {
  plays(`
    join a
      ! group rebalances
    deadline
      in 0
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    deadline
      in 10000
  `);
});

test("the initial delay is prolonged by the configured delay as long as members come, up to the rebalance timeout", () => {
  plays(`
    join a rebalance=10000
      ! group rebalances
    deadline
      in 3000
    +2000
    join b rebalance=10000
    +1000
    deadline
      in 3000
    join c rebalance=10000
    +3000
    deadline
      in 3000
    # nobody came in the last round
    +3000
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A c-c:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
      c <- NONE id=c-c gen=1 consumer/range leader=c-a
  `, { initialRebalanceDelayMs: 3000 });
});

test("the initial delay ends at the rebalance timeout though members keep coming", () => {
  plays(`
    join a rebalance=7000
      ! group rebalances
    join b rebalance=7000
    +3000
    join c rebalance=7000
    deadline
      in 3000
    +3000
    deadline
      in 1000
    join d rebalance=7000
    +1000
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A c-c:A c-d:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
      c <- NONE id=c-c gen=1 consumer/range leader=c-a
      d <- NONE id=c-d gen=1 consumer/range leader=c-a
  `, { initialRebalanceDelayMs: 3000 });
});

test("one initial delay longer than the rebalance timeout is not prolonged", () => {
  plays(`
    join a rebalance=1000
      ! group rebalances
    join b rebalance=1000
    +3000
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
  `, { initialRebalanceDelayMs: 3000 });
});

test("members that come after the first generation do not prolong a later initial delay", () => {
  plays(`
    join a
      ! group rebalances
    +3000
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    leave c-a
      ! member left
      ! group rebalances
      ! group is empty
      append 1: g gen=2 consumer/null leader=null
      NONE NONE
    done 1
    join b
      ! group rebalances
    join c
    # generation 1: only newcomers to a group of generation 0 count
    +3000
      ! group has a new generation
      b <- NONE id=c-b gen=3 consumer/range leader=c-b members c-b:A c-c:A
      c <- NONE id=c-c gen=3 consumer/range leader=c-b
  `, { initialRebalanceDelayMs: 3000 });
});

test("joining ends when all have joined, in the request of the last", () => {
  plays(`
    join a
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    join b
      ! group rebalances
    join a2 id=c-a protocols=range:A2
      ! group has a new generation
      a2 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A2 c-b:A
      b <- NONE id=c-b gen=2 consumer/range leader=c-a
  `);
});

test("who has not joined by the greatest rebalance timeout is removed, and the next that has joined leads", () => {
  plays(`
    join a rebalance=20000 session=50000
      ! group rebalances
    join b rebalance=30000 session=50000
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    join c rebalance=10000 session=50000
      ! group rebalances
    deadline
      in 30000
    +29999
    +1
      ! member failed
      ! member failed
      ! group has a new generation
      c <- NONE id=c-c gen=2 consumer/range leader=c-c members c-c:A
  `);
});

test("a leader that does not join again hands over to the first that has", () => {
  plays(`
    join a
      ! group rebalances
    join b
    join c
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A c-c:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
      c <- NONE id=c-c gen=1 consumer/range leader=c-a
    join b2 id=c-b protocols=range:B2
      ! group rebalances
    join c2 id=c-c protocols=range:C2
    leave c-a
      ! member left
      ! group has a new generation
      b2 <- NONE id=c-b gen=2 consumer/range leader=c-b members c-b:B2 c-c:C2
      c2 <- NONE id=c-c gen=2 consumer/range leader=c-b
      NONE NONE
  `);
});

test("a pending member holds the end of joining up, until it joins or its session ends", () => {
  plays(`
    join a
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    join b known
      b <- MEMBER_ID_REQUIRED id=c-b
    join a2 id=c-a protocols=range:A2
      ! group rebalances
    join b2 id=c-b
      ! group has a new generation
      a2 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A2 c-b:A
      b2 <- NONE id=c-b gen=2 consumer/range leader=c-a
    join c known
      c <- MEMBER_ID_REQUIRED id=c-c
    join a3 id=c-a
      ! group rebalances
    join b3 id=c-b session=10000
    +9999
    +1
      ! member failed
      ! group has a new generation
      a3 <- NONE id=c-a gen=3 consumer/range leader=c-a members c-a:A c-b:A
      b3 <- NONE id=c-b gen=3 consumer/range leader=c-a
  `);
});

test("a pending member that leaves is waited for no longer", () => {
  plays(`
    join a
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    join b known
      b <- MEMBER_ID_REQUIRED id=c-b
    join a2 id=c-a protocols=range:A2
      ! group rebalances
    leave c-b
      ! group has a new generation
      a2 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A2
      NONE NONE
  `);
});

test("the last member's leaving empties the group, whose record nobody waits for", () => {
  plays(`
    join a
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    leave c-a
      ! member left
      ! group rebalances
      ! group is empty
      append 1: g gen=2 consumer/null leader=null
      NONE NONE
    describe
      NONE Empty consumer/
    done 1
    fetch all
      NONE
    list
      NONE
      g consumer Empty
  `);
});

test("a record of an empty group that can't be stored changes nothing", () => {
  plays(`
    join a
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    leave c-a
      ! member left
      ! group rebalances
      ! group is empty
      append 1: g gen=2 consumer/null leader=null
      NONE NONE
    done 1 NOT_ENOUGH_REPLICAS
      ! group record could not be stored
    describe
      NONE Empty consumer/
  `);
});

test("everybody gone while the initial delay runs makes an empty generation", () => {
  plays(`
    join a
      ! group rebalances
    leave c-a
      ! member left
      a <- UNKNOWN_MEMBER_ID id=
      NONE NONE
    +0
      ! group is empty
      append 1: g gen=1 consumer/null leader=null
    describe
      NONE Empty consumer/
  `);
});

test("static members that do not join again keep their place, and joining goes on until somebody does or their sessions end", () => {
  plays(`
    join a instance=i session=100000 rebalance=20000
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/range leader=i-a members i-a@i:A
    sync a2 id=i-a gen=1 assign=i-a:x
      append 1: g gen=1 consumer/range leader=i-a [i-a 100000/20000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    join b session=100000 rebalance=20000
      ! group rebalances
    leave c-b
      ! member left
      b <- UNKNOWN_MEMBER_ID id=
      NONE NONE
    +20000
      ! no member has joined, so that the group waits for its static members
    deadline
      in 20000
    +20000
      ! no member has joined, so that the group waits for its static members
    +40000
      ! no member has joined, so that the group waits for its static members
    +20000
      ! member failed
      ! group is empty
      append 2: g gen=2 consumer/null leader=null
  `);
});

test("a static member that did not join again is in the next generation with those that did", () => {
  plays(`
    join a instance=i session=100000 rebalance=20000
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/range leader=i-a members i-a@i:A
    sync a2 id=i-a gen=1 assign=i-a:x
      append 1: g gen=1 consumer/range leader=i-a [i-a 100000/20000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    join b session=100000 rebalance=20000
      ! group rebalances
    +20000
      ! group has a new generation
      b <- NONE id=c-b gen=2 consumer/range leader=c-b members i-a@i:A c-b:A
  `);
});

test("who does not send its SyncGroup within the rebalance timeout is removed while assignments are awaited", () => {
  plays(`
    join a rebalance=20000 session=100000
      ! group rebalances
    join b rebalance=20000 session=100000
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync b2 id=c-b gen=1
    +19999
    +1
      ! pending sync overdue
      b2 <- REBALANCE_IN_PROGRESS
      ! group rebalances
    join b3 id=c-b
      ! group has a new generation
      b3 <- NONE id=c-b gen=2 consumer/range leader=c-b members c-b:A
  `);
});

test("who does not send its SyncGroup within the rebalance timeout is removed from a stable group too", () => {
  plays(`
    join a rebalance=20000 session=100000
      ! group rebalances
    join b rebalance=20000 session=100000
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 100000/20000 A="x"] [c-b 100000/20000 A="y"]
    done 1
      a2 <- NONE consumer/range "x"
    +20000
      ! pending sync overdue
      ! group rebalances
  `);
});

test("once all have sent their SyncGroups nothing more is waited for", () => {
  plays(`
    join a rebalance=20000 session=100000
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    sync a2 id=c-a gen=1 assign=c-a:x
      append 1: g gen=1 consumer/range leader=c-a [c-a 100000/20000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    deadline
      in 100000
    +20000
  `);
});

test("a rebalance timeout of nothing at all does not ring for ever", () => {
  plays(`
    join a instance=i session=10000
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/range leader=i-a members i-a@i:A
    sync a2 id=i-a gen=1 assign=i-a:x
      append 1: g gen=1 consumer/range leader=i-a [i-a 10000/60000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    join a3 id=i-a instance=i session=10000 rebalance=0
      ! group rebalances
      ! group has a new generation
      a3 <- NONE id=i-a gen=2 consumer/range leader=i-a members i-a@i:A
    sync a4 id=i-a gen=2 assign=i-a:x
      append 2: g gen=2 consumer/range leader=i-a [i-a 10000/0 A="x"]
    done 2
      a4 <- NONE consumer/range "x"
    join b rebalance=0
      ! group rebalances
    leave c-b
      ! member left
      b <- UNKNOWN_MEMBER_ID id=
      NONE NONE
    +0
      ! no member has joined, so that the group waits for its static members
    deadline
      in 1
    +1
      ! no member has joined, so that the group waits for its static members
    deadline
      in 1
    +10000
      ! no member has joined, so that the group waits for its static members
      ! member failed
      ! group is empty
      append 3: g gen=3 consumer/null leader=null
  `);
});

test("a new member's JoinGroup waits five minutes at most", () => {
  plays(`
    join a rebalance=400000 session=1000000
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    join b session=6000 rebalance=400000
      ! group rebalances
    +299999
    +1
      ! member failed
      b <- UNKNOWN_MEMBER_ID id=
  `);
});

test("who waits for us is not expected to send heartbeats; its session begins anew with the answer", () => {
  plays(`
    join a session=6000 rebalance=20000
      ! group rebalances
    join b session=6000 rebalance=20000
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    # b joins again and waits; a is busy but alive
    join b2 id=c-b protocols=range:B2 session=6000 rebalance=20000
      ! group rebalances
    beat id=c-a gen=1
      REBALANCE_IN_PROGRESS
    +6000
      ! member failed
      ! group has a new generation
      b2 <- NONE id=c-b gen=2 consumer/range leader=c-b members c-b:B2
    +6000
      ! member failed
      ! group rebalances
      ! group is empty
      append 1: g gen=3 consumer/null leader=null
    join c session=6000 rebalance=20000
      ! group rebalances
    +5999
      ! group has a new generation
      c <- NONE id=c-c gen=4 consumer/range leader=c-c members c-c:A
    +1
  `);
});
