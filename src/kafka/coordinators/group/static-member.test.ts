import { expect, test } from "vitest";
import type { GroupRules } from "./group-core.ts";
import { dedent, GroupScript } from "./testing/group-script.ts";

function plays(text: string, rules: Partial<GroupRules> = {}): void {
  expect(new GroupScript(rules).play(dedent(text))).toEqual(dedent(text));
}

test("a static member that starts again in a stable group keeps its place and its assignment; nobody else notices", () => {
  plays(`
    join a
      ! group rebalances
    join b instance=i
    join c
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A i-b@i:A c-c:A
      b <- NONE id=i-b gen=1 consumer/range leader=c-a
      c <- NONE id=c-c gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,i-b:y,c-c:z
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [i-b 10000/60000 A="y"] [c-c 10000/60000 A="z"]
    sync b2 id=i-b gen=1
    sync c2 id=c-c gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
      c2 <- NONE consumer/range "z"
    join d instance=i
      ! static member replaced
      append 2: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [i-d 10000/60000 A="y"] [c-c 10000/60000 A="z"]
    describe
      NONE Stable consumer/range
      c-a c /h 10000/60000 A="x"
      i-d@i c /h 10000/60000 A="y"
      c-c c /h 10000/60000 A="z"
    # nothing is said before the log has it
    done 2
      d <- NONE id=i-d gen=1 consumer/range leader=c-a
    sync d2 id=i-d gen=1 instance=i
      d2 <- NONE consumer/range "y"
    beat id=c-a gen=1
      NONE
  `);
});

test("up to version 8 a leader that starts again is told its old id as the leader's, so that it does not assign", () => {
  plays(`
    join a instance=i
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/range leader=i-a members i-a@i:A
    sync a2 id=i-a gen=1 assign=i-a:x
      append 1: g gen=1 consumer/range leader=i-a [i-a 10000/60000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    join b instance=i
      ! static member replaced
      append 2: g gen=1 consumer/range leader=i-b [i-b 10000/60000 A="x"]
    done 2
      b <- NONE id=i-b gen=1 consumer/range leader=i-a
    sync b2 id=i-b gen=1
      b2 <- NONE consumer/range "x"
    join b3 id=i-b instance=i
      ! group rebalances
      ! group has a new generation
      b3 <- NONE id=i-b gen=2 consumer/range leader=i-b members i-b@i:A
  `);
});

test("from version 9 on a leader that starts again gets all members, to watch their topics, and is told not to assign", () => {
  plays(`
    join a instance=i
      ! group rebalances
    join b
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/range leader=i-a members i-a@i:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=i-a
    sync a2 id=i-a gen=1 assign=i-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=i-a [i-a 10000/60000 A="x"] [c-b 10000/60000 A="y"]
    sync b2 id=c-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    join c instance=i skips
      ! static member replaced
      append 2: g gen=1 consumer/range leader=i-c [i-c 10000/60000 A="x"] [c-b 10000/60000 A="y"]
    done 2
      c <- NONE id=i-c gen=1 consumer/range leader=i-c skips members i-c@i:A c-b:A
  `);
});

test("from version 9 on a follower that starts again is told the leader and nothing to skip", () => {
  plays(`
    join a
      ! group rebalances
    join b instance=i
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A i-b@i:A
      b <- NONE id=i-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,i-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [i-b 10000/60000 A="y"]
    sync b2 id=i-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    join c instance=i skips
      ! static member replaced
      append 2: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [i-c 10000/60000 A="y"]
    done 2
      c <- NONE id=i-c gen=1 consumer/range leader=c-a
  `);
});

test("the old id of a static member is fenced on every API", () => {
  plays(`
    join a
      ! group rebalances
    join b instance=i
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A i-b@i:A
      b <- NONE id=i-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,i-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [i-b 10000/60000 A="y"]
    sync b2 id=i-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    join c instance=i
      ! static member replaced
      append 2: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [i-c 10000/60000 A="y"]
    done 2
      c <- NONE id=i-c gen=1 consumer/range leader=c-a
    join b3 id=i-b instance=i
      ! member fenced
      b3 <- FENCED_INSTANCE_ID id=i-b
    sync b4 id=i-b gen=1 instance=i
      ! member fenced
      b4 <- FENCED_INSTANCE_ID
    beat id=i-b gen=1 instance=i
      ! member fenced
      FENCED_INSTANCE_ID
    commit b5 id=i-b gen=1 instance=i t-0=1
      ! member fenced
      b5 <- FENCED_INSTANCE_ID
    leave i-b@i
      ! member fenced
      NONE FENCED_INSTANCE_ID
    # without its instance the old id is nobody's
    beat id=i-b gen=1
      UNKNOWN_MEMBER_ID
  `);
});

test("the new id can't be stored: protocols, timeouts, ids and the leader are what they were", () => {
  plays(`
    join a instance=i protocols=x:A,y:A session=10000 rebalance=20000
      ! group rebalances
    join b protocols=x:B,y:B
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/x leader=i-a members i-a@i:A c-b:B
      b <- NONE id=c-b gen=1 consumer/x leader=i-a
    sync a2 id=i-a gen=1 assign=i-a:x,c-b:y
      append 1: g gen=1 consumer/x leader=i-a [i-a 10000/20000 A="x"] [c-b 10000/60000 B="y"]
    sync b2 id=c-b gen=1
    done 1
      a2 <- NONE consumer/x "x"
      b2 <- NONE consumer/x "y"
    join c instance=i protocols=x:C session=50000 rebalance=90000
      ! static member replaced
      append 2: g gen=1 consumer/x leader=i-c [i-c 50000/90000 C="x"] [c-b 10000/60000 B="y"]
    done 2 REQUEST_TIMED_OUT
      ! group record could not be stored
      c <- REBALANCE_IN_PROGRESS id= gen=1 leader=i-a
    describe
      NONE Stable consumer/x
      i-a@i c /h 10000/20000 A="x"
      c-b c /h 10000/60000 B="y"
    beat id=i-a gen=1 instance=i
      NONE
    # y is still what both have
    join d protocols=y:D
      ! group rebalances
  `);
});

test("a static member that starts again while another protocol would be chosen makes the group rebalance", () => {
  plays(`
    join a instance=i protocols=x:A,y:A
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/x leader=i-a members i-a@i:A
    sync a2 id=i-a gen=1 assign=i-a:x
      append 1: g gen=1 consumer/x leader=i-a [i-a 10000/60000 A="x"]
    done 1
      a2 <- NONE consumer/x "x"
    join b instance=i protocols=y:B,x:B
      ! static member replaced
      ! group rebalances
      ! group has a new generation
      b <- NONE id=i-b gen=2 consumer/y leader=i-b members i-b@i:B
  `);
});

test("a static member that starts again while assignments are awaited makes the group rebalance, and the old SyncGroup is fenced", () => {
  plays(`
    join a
      ! group rebalances
    join b instance=i
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A i-b@i:A
      b <- NONE id=i-b gen=1 consumer/range leader=c-a
    sync b2 id=i-b gen=1
    join c instance=i
      ! static member replaced
      b2 <- FENCED_INSTANCE_ID
      ! group rebalances
    join a2 id=c-a
      ! group has a new generation
      a2 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A i-c@i:A
      c <- NONE id=i-c gen=2 consumer/range leader=c-a
  `);
});

test("a static member that starts again while others join waits with them, and the old JoinGroup is fenced", () => {
  plays(`
    join a instance=i
      ! group rebalances
    join b instance=i
      ! static member replaced
      a <- FENCED_INSTANCE_ID id=i-a
    join c
    +0
      ! group has a new generation
      b <- NONE id=i-b gen=1 consumer/range leader=i-b members i-b@i:A c-c:A
      c <- NONE id=c-c gen=1 consumer/range leader=i-b
    join a2 id=i-a instance=i
      ! member fenced
      a2 <- FENCED_INSTANCE_ID id=i-a
  `);
});

test("a static member without an id and without a predecessor joins as a new one", () => {
  plays(`
    join a instance=i
      ! group rebalances
    join b instance=j
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/range leader=i-a members i-a@i:A j-b@j:A
      b <- NONE id=j-b gen=1 consumer/range leader=i-a
    describe
      NONE CompletingRebalance consumer/
      i-a@i c /h 10000/60000 =""
      j-b@j c /h 10000/60000 =""
  `);
});

test("an instance that nobody has, or with another's id, is refused", () => {
  plays(`
    join a instance=i
      ! group rebalances
    join b
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/range leader=i-a members i-a@i:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=i-a
    join c id=c-b instance=j
      c <- UNKNOWN_MEMBER_ID id=c-b
    join d id=c-b instance=i
      ! member fenced
      d <- FENCED_INSTANCE_ID id=c-b
    join e id=c-x
      e <- UNKNOWN_MEMBER_ID id=c-x
  `);
});

test("a rebalance that begins while the new id is stored takes the waiting JoinGroup over", () => {
  plays(`
    join a
      ! group rebalances
    join b instance=i
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A i-b@i:A
      b <- NONE id=i-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,i-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [i-b 10000/60000 A="y"]
    sync b2 id=i-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    join c instance=i
      ! static member replaced
      append 2: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [i-c 10000/60000 A="y"]
    join a3 id=c-a
      ! group rebalances
      ! group has a new generation
      a3 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A i-c@i:A
      c <- NONE id=i-c gen=2 consumer/range leader=c-a
    done 2 NOT_ENOUGH_REPLICAS
      ! group record could not be stored
    describe
      NONE CompletingRebalance consumer/
      c-a c /h 10000/60000 =""
      i-c@i c /h 10000/60000 =""
  `);
});

test("a rebalance that begins and waits while the new id is stored answers the JoinGroup when it ends, whatever became of the append", () => {
  plays(`
    join a
      ! group rebalances
    join b instance=i
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A i-b@i:A
      b <- NONE id=i-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,i-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [i-b 10000/60000 A="y"]
    sync b2 id=i-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    join c instance=i
      ! static member replaced
      append 2: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [i-c 10000/60000 A="y"]
    join d
      ! group rebalances
    done 2 NOT_ENOUGH_REPLICAS
      ! group record could not be stored
    join a3 id=c-a
      ! group has a new generation
      a3 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A i-c@i:A c-d:A
      c <- NONE id=i-c gen=2 consumer/range leader=c-a
      d <- NONE id=c-d gen=2 consumer/range leader=c-a
    beat id=i-c gen=2 instance=i
      NONE
  `);
});

test("a second start before the first is stored: the first is fenced, the second answered by its own append", () => {
  plays(`
    join a instance=i
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/range leader=i-a members i-a@i:A
    sync a2 id=i-a gen=1 assign=i-a:x
      append 1: g gen=1 consumer/range leader=i-a [i-a 10000/60000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    join b instance=i
      ! static member replaced
      append 2: g gen=1 consumer/range leader=i-b [i-b 10000/60000 A="x"]
    join c instance=i
      ! static member replaced
      b <- FENCED_INSTANCE_ID id=i-b
      append 3: g gen=1 consumer/range leader=i-c [i-c 10000/60000 A="x"]
    done 2
    done 3
      c <- NONE id=i-c gen=1 consumer/range leader=i-b
    beat id=i-c gen=1 instance=i
      NONE
  `);
});

test("a static member that is taken out while its new id is stored is answered once", () => {
  plays(`
    join a instance=i
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/range leader=i-a members i-a@i:A
    sync a2 id=i-a gen=1 assign=i-a:x
      append 1: g gen=1 consumer/range leader=i-a [i-a 10000/60000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    join b instance=i
      ! static member replaced
      append 2: g gen=1 consumer/range leader=i-b [i-b 10000/60000 A="x"]
    leave @i
      ! member left
      b <- UNKNOWN_MEMBER_ID id=
      ! group rebalances
      ! group is empty
      append 3: g gen=2 consumer/null leader=null
      NONE NONE
    done 2
  `);
});

test("a waiting start is not taken for a failed member, and has a whole session after its answer", () => {
  plays(`
    join a instance=i session=6000
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/range leader=i-a members i-a@i:A
    sync a2 id=i-a gen=1 assign=i-a:x
      append 1: g gen=1 consumer/range leader=i-a [i-a 6000/60000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    join b instance=i session=6000
      ! static member replaced
      append 2: g gen=1 consumer/range leader=i-b [i-b 6000/60000 A="x"]
    +6000
    done 2
      b <- NONE id=i-b gen=1 consumer/range leader=i-a
    +5999
    +1
      ! member failed
      ! group rebalances
      ! group is empty
      append 3: g gen=2 consumer/null leader=null
  `);
});
