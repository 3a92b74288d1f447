import { expect, test } from "vitest";
import type { GroupRules } from "./group-core.ts";
import { dedent, GroupScript } from "./testing/group-script.ts";

function plays(text: string, rules: Partial<GroupRules> = {}): void {
  expect(new GroupScript(rules).play(dedent(text))).toEqual(dedent(text));
}

test("who may not sync is told why, in this order", () => {
  plays(`
    sync z id=c-a gen=1
      z <- UNKNOWN_MEMBER_ID
    join a protocols=range:A
      ! group rebalances
    join b instance=i
    sync z2 id= gen=1
      z2 <- UNKNOWN_MEMBER_ID
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A i-b@i:A
      b <- NONE id=i-b gen=1 consumer/range leader=c-a
    sync z3 id=c-a gen=1 instance=j
      z3 <- UNKNOWN_MEMBER_ID
    sync z4 id=c-a gen=1 instance=i
      ! member fenced
      z4 <- FENCED_INSTANCE_ID
    sync z5 id=c-x gen=1
      z5 <- UNKNOWN_MEMBER_ID
    sync z6 id=c-a gen=0 type=connect
      z6 <- ILLEGAL_GENERATION
    sync z7 id=c-a gen=2
      z7 <- ILLEGAL_GENERATION
    sync z8 id=c-a gen=1 type=connect protocol=range
      z8 <- INCONSISTENT_GROUP_PROTOCOL
    sync z9 id=c-a gen=1 type=consumer protocol=sticky
      z9 <- INCONSISTENT_GROUP_PROTOCOL
    sync a2 id=c-a gen=1 type=consumer protocol=range
      ! the leader has left members without an assignment
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A=""] [i-b 10000/60000 A=""]
  `);
});

test("while members join, a SyncGroup has come too late", () => {
  plays(`
    join a
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    join b
      ! group rebalances
    sync a2 id=c-a gen=1
      a2 <- REBALANCE_IN_PROGRESS
  `);
});

test("an empty group has nobody who syncs", () => {
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
    sync a2 id=c-a gen=2
      a2 <- UNKNOWN_MEMBER_ID
  `);
});

test("assignments are told when the log has them, to all who wait and to those who come later", () => {
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
    sync b2 id=c-b gen=1
    sync a2 id=c-a gen=1 assign=c-a:x,c-b:y,c-c:z,c-x:nobody
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [c-b 10000/60000 A="y"] [c-c 10000/60000 A="z"]
    describe
      NONE CompletingRebalance consumer/
      c-a c /h 10000/60000 =""
      c-b c /h 10000/60000 =""
      c-c c /h 10000/60000 =""
    beat id=c-b gen=1
      NONE
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    sync c2 id=c-c gen=1
      c2 <- NONE consumer/range "z"
    describe
      NONE Stable consumer/range
      c-a c /h 10000/60000 A="x"
      c-b c /h 10000/60000 A="y"
      c-c c /h 10000/60000 A="z"
  `);
});

test("whom the leader leaves out gets nothing, which is not null", () => {
  plays(`
    join a
      ! group rebalances
    join b
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x
      ! the leader has left members without an assignment
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [c-b 10000/60000 A=""]
    sync b2 id=c-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range ""
  `);
});

test("assignments that can't be stored: every member is told, the group rebalances, and nobody keeps one", () => {
  plays(`
    join a
      ! group rebalances
    join b
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [c-b 10000/60000 A="y"]
    sync b2 id=c-b gen=1
    done 1 NOT_LEADER_OR_FOLLOWER
      ! group record could not be stored
      a2 <- NOT_COORDINATOR
      b2 <- NOT_COORDINATOR
      ! group rebalances
    beat id=c-a gen=1
      REBALANCE_IN_PROGRESS
  `);
});

const failures = {
  UNKNOWN_TOPIC_OR_PARTITION: "COORDINATOR_NOT_AVAILABLE",
  NOT_ENOUGH_REPLICAS: "COORDINATOR_NOT_AVAILABLE",
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: "COORDINATOR_NOT_AVAILABLE",
  NOT_LEADER_OR_FOLLOWER: "NOT_COORDINATOR",
  KAFKA_STORAGE_ERROR: "NOT_COORDINATOR",
  REQUEST_TIMED_OUT: "REBALANCE_IN_PROGRESS",
  MESSAGE_TOO_LARGE: "UNKNOWN_SERVER_ERROR",
  RECORD_LIST_TOO_LARGE: "UNKNOWN_SERVER_ERROR",
  INVALID_FETCH_SIZE: "UNKNOWN_SERVER_ERROR",
  CORRUPT_MESSAGE: "CORRUPT_MESSAGE",
};

test.each(Object.entries(failures))("an append of assignments that fails with %s is told as %s", (error, told) => {
  const script = new GroupScript();
  script.play(["join a", "+0", "sync a2 id=c-a gen=1"]);
  expect(script.play([`done 1 ${error}`])).toContain(`  a2 <- ${told}`);
});

test("the append of a generation that has passed means nothing, even when the next one awaits its assignments", () => {
  plays(`
    join a
      ! group rebalances
    join b
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [c-b 10000/60000 A="y"]
    leave c-b
      ! member left
      a2 <- REBALANCE_IN_PROGRESS
      ! group rebalances
      NONE NONE
    join a3 id=c-a
      ! group has a new generation
      a3 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A
    sync a4 id=c-a gen=2 assign=c-a:z
      append 2: g gen=2 consumer/range leader=c-a [c-a 10000/60000 A="z"]
    done 1
    describe
      NONE CompletingRebalance consumer/
      c-a c /h 10000/60000 =""
    done 2
      a4 <- NONE consumer/range "z"
  `);
});

test("the failed append of a generation that has passed means nothing either", () => {
  plays(`
    join a
      ! group rebalances
    join b
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [c-b 10000/60000 A="y"]
    leave c-b
      ! member left
      a2 <- REBALANCE_IN_PROGRESS
      ! group rebalances
      NONE NONE
    join a3 id=c-a
      ! group has a new generation
      a3 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A
    done 1 NOT_ENOUGH_REPLICAS
      ! group record could not be stored
    describe
      NONE CompletingRebalance consumer/
      c-a c /h 10000/60000 =""
  `);
});

test("a SyncGroup that is sent again takes the place of the one that waits, and the leader's is stored once", () => {
  plays(`
    join a
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    sync a2 id=c-a gen=1 assign=c-a:x
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"]
    sync a3 id=c-a gen=1 assign=c-a:y
      a2 <- superseded
    done 1
      a3 <- NONE consumer/range "x"
    describe
      NONE Stable consumer/range
      c-a c /h 10000/60000 A="x"
  `);
});

test("who waits for its assignment does not fail, and has a whole session after it", () => {
  plays(`
    join a session=6000
      ! group rebalances
    join b session=6000
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync b2 id=c-b gen=1
    +5000
    sync a2 id=c-a gen=1 assign=c-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 6000/60000 A="x"] [c-b 6000/60000 A="y"]
    +6000
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    +5999
    +1
      ! member failed
      ! group rebalances
      ! member failed
      ! group is empty
      append 2: g gen=2 consumer/null leader=null
  `);
});

test("who waits for assignments that fail has a whole session after that", () => {
  plays(`
    join a session=6000
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    sync a2 id=c-a gen=1 assign=c-a:x
      append 1: g gen=1 consumer/range leader=c-a [c-a 6000/60000 A="x"]
    +6000
    done 1 NOT_ENOUGH_REPLICAS
      ! group record could not be stored
      a2 <- COORDINATOR_NOT_AVAILABLE
      ! group rebalances
    deadline
      in 6000
    +5999
    +1
      ! member failed
      ! group is empty
      append 2: g gen=2 consumer/null leader=null
  `);
});

test("a SyncGroup in a stable group restarts the session", () => {
  plays(`
    join a session=6000
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    sync a2 id=c-a gen=1 assign=c-a:x
      append 1: g gen=1 consumer/range leader=c-a [c-a 6000/60000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    +5000
    sync a3 id=c-a gen=1
      a3 <- NONE consumer/range "x"
    +5000
    +1000
      ! member failed
      ! group rebalances
      ! group is empty
      append 2: g gen=2 consumer/null leader=null
  `);
});

test("an assignment is copied out of the request", () => {
  const script = new GroupScript();
  script.play(["join a", "+0"]);
  const assignment = Buffer.from("x");
  script.core.sync({ groupId: "g", memberId: "c-a", instanceId: null, generation: 1, protocolType: null, protocolName: null, assignments: [{ memberId: "c-a", assignment }] }, 2, script.now);
  assignment.write("y");
  script.core.effects.length = 0;
  script.core.appended(1, 0, 0, script.now);
  const synced = script.core.effects.find((effect) => effect.kind === "synced");
  expect(synced?.result.assignment.toString()).toBe("x");
});
