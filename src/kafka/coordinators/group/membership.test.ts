import { expect, test } from "vitest";
import type { GroupRules } from "./group-core.ts";
import { dedent, GroupScript } from "./testing/group-script.ts";

function plays(text: string, rules: Partial<GroupRules> = {}): void {
  expect(new GroupScript(rules).play(dedent(text))).toEqual(dedent(text));
}

test("a heartbeat by state: preparing 27, awaiting assignments and stable NONE, and who may not send one is told why", () => {
  plays(`
    beat id=c-a gen=1
      UNKNOWN_MEMBER_ID
    beat id=c-a gen=1 group=
      INVALID_GROUP_ID
    join a
      ! group rebalances
    beat id=c-a gen=0
      REBALANCE_IN_PROGRESS
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    beat id=c-a gen=1
      NONE
    beat id=c-x gen=1
      UNKNOWN_MEMBER_ID
    beat id=c-a gen=0
      ILLEGAL_GENERATION
    beat id=c-a gen=2
      ILLEGAL_GENERATION
    beat id=c-a gen=1 instance=i
      UNKNOWN_MEMBER_ID
    sync a2 id=c-a gen=1 assign=c-a:x
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    beat id=c-a gen=1
      NONE
    join b
      ! group rebalances
    beat id=c-a gen=1
      REBALANCE_IN_PROGRESS
    leave c-a c-b
      ! member left
      ! group has a new generation
      b <- NONE id=c-b gen=2 consumer/range leader=c-b members c-b:A
      ! member left
      ! group rebalances
      ! group is empty
      append 2: g gen=3 consumer/null leader=null
      NONE NONE NONE
    beat id=c-a gen=2
      UNKNOWN_MEMBER_ID
  `);
});

test("a heartbeat restarts the session in every state, and moves no deadline", () => {
  plays(`
    join a session=6000
      ! group rebalances
    join b session=6000
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    +4000
    beat id=c-a gen=1
      NONE
    beat id=c-b gen=1
      NONE
    deadline
      in 2000
    +4000
    sync a2 id=c-a gen=1 assign=c-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 6000/60000 A="x"] [c-b 6000/60000 A="y"]
    sync b2 id=c-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    +4000
    beat id=c-a gen=1
      NONE
    +2000
      ! member failed
      ! group rebalances
    +3999
    +1
      ! member failed
      ! group is empty
      append 2: g gen=2 consumer/null leader=null
  `);
});

test("a member that failed is removed, and the group rebalances without it", () => {
  plays(`
    join a session=6000
      ! group rebalances
    join b session=10000
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 6000/60000 A="x"] [c-b 10000/60000 A="y"]
    sync b2 id=c-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    +6000
      ! member failed
      ! group rebalances
    beat id=c-b gen=1
      REBALANCE_IN_PROGRESS
    join b3 id=c-b
      ! group has a new generation
      b3 <- NONE id=c-b gen=2 consumer/range leader=c-b members c-b:A
    beat id=c-a gen=1
      UNKNOWN_MEMBER_ID
  `);
});

test("who leaves by state: waiting JoinGroups and SyncGroups are answered", () => {
  plays(`
    leave c-a c-b
      NONE UNKNOWN_MEMBER_ID UNKNOWN_MEMBER_ID
    join a
      ! group rebalances
    join b
    # joining
    leave c-b
      ! member left
      b <- UNKNOWN_MEMBER_ID id=
      NONE NONE
    join c
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-c:A
      c <- NONE id=c-c gen=1 consumer/range leader=c-a
    sync c2 id=c-c gen=1
    # awaiting assignments
    leave c-c
      ! member left
      c2 <- UNKNOWN_MEMBER_ID
      ! group rebalances
      NONE NONE
    join a2 id=c-a
      ! group has a new generation
      a2 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A
    sync a3 id=c-a gen=2 assign=c-a:x
      append 1: g gen=2 consumer/range leader=c-a [c-a 10000/60000 A="x"]
    done 1
      a3 <- NONE consumer/range "x"
    # stable
    leave c-a
      ! member left
      ! group rebalances
      ! group is empty
      append 2: g gen=3 consumer/null leader=null
      NONE NONE
    # empty
    leave c-a
      NONE UNKNOWN_MEMBER_ID
  `);
});

test("each member that leaves is told for itself: by id, by id and instance, by instance alone, pending", () => {
  plays(`
    join a
      ! group rebalances
    join b instance=i
    join d instance=j
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A i-b@i:A j-d@j:A
      b <- NONE id=i-b gen=1 consumer/range leader=c-a
      d <- NONE id=j-d gen=1 consumer/range leader=c-a
    join e known
      e <- MEMBER_ID_REQUIRED id=c-e
    leave c-x c-a@i i-b@k i-b@i @k @j @ c-e c-a
      ! member fenced
      ! member left
      ! group rebalances
      ! member left
      ! member left
      ! group is empty
      append 1: g gen=2 consumer/null leader=null
      NONE UNKNOWN_MEMBER_ID FENCED_INSTANCE_ID UNKNOWN_MEMBER_ID NONE UNKNOWN_MEMBER_ID NONE UNKNOWN_MEMBER_ID NONE NONE
  `);
});

test("a leader that leaves hands over to the next in the order of joining", () => {
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
    sync a2 id=c-a gen=1 assign=c-a:x
      ! the leader has left members without an assignment
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [c-b 10000/60000 A=""] [c-c 10000/60000 A=""]
    done 1
      a2 <- NONE consumer/range "x"
    leave c-a
      ! member left
      ! group rebalances
      NONE NONE
    join b2 id=c-b
    join c2 id=c-c
      ! group has a new generation
      b2 <- NONE id=c-b gen=2 consumer/range leader=c-b members c-b:A c-c:A
      c2 <- NONE id=c-c gen=2 consumer/range leader=c-b
  `);
});
