import { expect, test } from "vitest";
import type { GroupRules } from "./group-core.ts";
import { dedent, GroupScript } from "./testing/group-script.ts";

function plays(text: string, rules: Partial<GroupRules> = {}): void {
  expect(new GroupScript(rules).play(dedent(text))).toEqual(dedent(text));
}

test("a group is made by a member without an id only, and a refused request leaves none behind", () => {
  plays(`
    join a id=c-x
      a <- UNKNOWN_MEMBER_ID id=c-x
    join b group=
      b <- INVALID_GROUP_ID id=
    join c session=5999
      c <- INVALID_SESSION_TIMEOUT id=
    join d session=1800001
      d <- INVALID_SESSION_TIMEOUT id=
    join e type=
      e <- INCONSISTENT_GROUP_PROTOCOL id=
    join f protocols=
      f <- INCONSISTENT_GROUP_PROTOCOL id=
    list
      NONE
  `);
});

test("a session timeout is refused before anything else is said of the group", () => {
  plays(`
    join a id=c-x session=1
      a <- INVALID_SESSION_TIMEOUT id=c-x
  `);
});

test("a dynamic member without an id gets one to come back with, if its version can", () => {
  plays(`
    join a known
      a <- MEMBER_ID_REQUIRED id=c-a
    list
      NONE
      g  Empty
    join b id=c-a
      ! group rebalances
    +0
      ! group has a new generation
      b <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
  `);
});

test("an id that was given out and not used is forgotten after the session timeout", () => {
  plays(`
    join a known session=6000
      a <- MEMBER_ID_REQUIRED id=c-a
    +5999
    deadline
      in 1
    +1
      ! member failed
    join b id=c-a
      b <- UNKNOWN_MEMBER_ID id=c-a
  `);
});

test("an id that was given out belongs to a dynamic member", () => {
  plays(`
    join a known
      a <- MEMBER_ID_REQUIRED id=c-a
    join b id=c-a instance=i
      b <- UNKNOWN_SERVER_ERROR id=c-a
  `);
});

test("ten thousand ids may be given out and not be used; then the oldest is forgotten", () => {
  const script = new GroupScript();
  for (let member = 0; member <= 10_000; member++) script.play([`join m${member} known`]);
  expect(script.play(["join z id=c-m0"])).toEqual(["join z id=c-m0", "  z <- UNKNOWN_MEMBER_ID id=c-m0"]);
  expect(script.play(["join y id=c-m1"])).toEqual(["join y id=c-m1", "  ! group rebalances"]);
});

test("members have one protocol type, and one protocol that all have", () => {
  plays(`
    join a protocols=range:A,sticky:A
      ! group rebalances
    join b type=connect
      b <- INCONSISTENT_GROUP_PROTOCOL id=
    join c protocols=other:C
      c <- INCONSISTENT_GROUP_PROTOCOL id=
    join d protocols=sticky:D
    join e protocols=range:E
      e <- INCONSISTENT_GROUP_PROTOCOL id=
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/sticky leader=c-a members c-a:A c-d:D
      d <- NONE id=c-d gen=1 consumer/sticky leader=c-a
    join f id=c-a protocols=range:A
      f <- INCONSISTENT_GROUP_PROTOCOL id=c-a
    join g id=c-d protocols=other:D
      g <- INCONSISTENT_GROUP_PROTOCOL id=c-d
    join h id=c-d type=connect protocols=sticky:D
      h <- INCONSISTENT_GROUP_PROTOCOL id=c-d
  `);
});

test("the protocol that most members prefer is chosen, among equals the one of the first member", () => {
  plays(`
    join a protocols=x:A,y:A,z:A
      ! group rebalances
    join b protocols=y:B,z:B,x:B
    join c protocols=z:C,y:C,x:C
    join d protocols=z:D,y:D,x:D
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/z leader=c-a members c-a:A c-b:B c-c:C c-d:D
      b <- NONE id=c-b gen=1 consumer/z leader=c-a
      c <- NONE id=c-c gen=1 consumer/z leader=c-a
      d <- NONE id=c-d gen=1 consumer/z leader=c-a
    leave c-d
      ! member left
      ! group rebalances
      NONE NONE
    join a2 id=c-a protocols=x:A,y:A,z:A
    join b2 id=c-b protocols=y:B,z:B,x:B
    join c2 id=c-c protocols=z:C,y:C,x:C
      ! group has a new generation
      a2 <- NONE id=c-a gen=2 consumer/x leader=c-a members c-a:A c-b:B c-c:C
      b2 <- NONE id=c-b gen=2 consumer/x leader=c-a
      c2 <- NONE id=c-c gen=2 consumer/x leader=c-a
  `);
});

test("a protocol that a member names twice counts once", () => {
  plays(`
    join a protocols=x:A,x:B,y:A
      ! group rebalances
    join b protocols=y:B
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/y leader=c-a members c-a:A c-b:B
      b <- NONE id=c-b gen=1 consumer/y leader=c-a
  `);
});

test("while assignments are awaited, who joins again with the same gets the current generation; the leader with its members", () => {
  plays(`
    join a protocols=x:A,y:A
      ! group rebalances
    join b protocols=x:B,y:B
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/x leader=c-a members c-a:A c-b:B
      b <- NONE id=c-b gen=1 consumer/x leader=c-a
    join a2 id=c-a protocols=x:A,y:A
      a2 <- NONE id=c-a gen=1 consumer/x leader=c-a members c-a:A c-b:B
    join b2 id=c-b protocols=x:B,y:B
      b2 <- NONE id=c-b gen=1 consumer/x leader=c-a
    # the order counts, and each byte
    join b3 id=c-b protocols=y:B,x:B
      ! group rebalances
  `);
});

test("while assignments are awaited, who joins again with other metadata makes the group rebalance, and waiting SyncGroups are told", () => {
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
    join b2 id=c-b protocols=range:B2
      a2 <- REBALANCE_IN_PROGRESS
      ! group rebalances
    done 1
    describe
      NONE PreparingRebalance consumer/
      c-a c /h 10000/60000 =""
      c-b c /h 10000/60000 =""
  `);
});

test("in a stable group a follower that joins again with the same gets the current generation without members; the leader starts anew", () => {
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
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    join b3 id=c-b
      b3 <- NONE id=c-b gen=1 consumer/range leader=c-a
    join a3 id=c-a
      ! group rebalances
    join b4 id=c-b
      ! group has a new generation
      a3 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A c-b:A
      b4 <- NONE id=c-b gen=2 consumer/range leader=c-a
  `);
});

test("in a stable group a follower that joins again with other metadata makes the group rebalance", () => {
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
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    join b3 id=c-b protocols=range:B2
      ! group rebalances
  `);
});

test("an empty group knows no member", () => {
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
    done 1
    join a2 id=c-a
      a2 <- UNKNOWN_MEMBER_ID id=c-a
  `);
});

test("a JoinGroup that is sent again takes the place of the one that waits, which is never answered", () => {
  plays(`
    join a
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    join b
      ! group rebalances
    join b2 id=c-b
      b <- superseded
    join a2 id=c-a
      ! group has a new generation
      a2 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A c-b:A
      b2 <- NONE id=c-b gen=2 consumer/range leader=c-a
  `);
});

test("what a member says when it joins again holds from then on: timeouts and protocols", () => {
  plays(`
    join a rebalance=20000 session=10000
      ! group rebalances
    join b rebalance=20000 session=10000
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    join b2 id=c-b rebalance=90000 session=50000 protocols=range:B2
      ! group rebalances
    join a2 id=c-a
      ! group has a new generation
      a2 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A c-b:B2
      b2 <- NONE id=c-b gen=2 consumer/range leader=c-a
    describe
      NONE CompletingRebalance consumer/
      c-a c /h 10000/60000 =""
      c-b c /h 50000/90000 =""
    sync a3 id=c-a gen=2 assign=c-a:x
      ! the leader has left members without an assignment
      append 1: g gen=2 consumer/range leader=c-a [c-a 10000/60000 A="x"] [c-b 50000/90000 B2=""]
    +10000
    deadline
      in 40000
  `);
});

test("a full group takes nobody, but those who are in it may join again", () => {
  plays(`
    join a
      ! group rebalances
    join b
    # two wait
    join c
      c <- GROUP_MAX_SIZE_REACHED id=
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    # awaiting assignments
    join d
      d <- GROUP_MAX_SIZE_REACHED id=
    join b2 id=c-b
      b2 <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [c-b 10000/60000 A="y"]
    sync b3 id=c-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b3 <- NONE consumer/range "y"
    # stable
    join e
      e <- GROUP_MAX_SIZE_REACHED id=
    join f id=c-x protocols=other:F
      f <- GROUP_MAX_SIZE_REACHED id=
    join g type=connect
      g <- GROUP_MAX_SIZE_REACHED id=
    join b4 id=c-b
      b4 <- NONE id=c-b gen=1 consumer/range leader=c-a
  `, { maxSize: 2 });
});

test("a full group refuses an id that was given out before, and forgets it", () => {
  plays(`
    join a known
      a <- MEMBER_ID_REQUIRED id=c-a
    join b known
      b <- MEMBER_ID_REQUIRED id=c-b
    join b2 id=c-b
      ! group rebalances
    join a2 id=c-a
      a2 <- GROUP_MAX_SIZE_REACHED id=
    join a3 id=c-a
      a3 <- GROUP_MAX_SIZE_REACHED id=
  `, { maxSize: 1 });
});

test("a group that was loaded too large loses the last to join again, with its instance", () => {
  const script = new GroupScript({ maxSize: 3 });
  script.play(["join a", "join b", "join c instance=i", "+0", "sync a2 id=c-a gen=1", "done 1"]);
  const small = new GroupScript({ maxSize: 2 });
  const [loaded] = script.stored();
  small.load(loaded === undefined ? [] : [loaded]);
  expect(small.play(dedent(tooLarge))).toEqual(dedent(tooLarge));
});

const tooLarge = `
  describe
    NONE PreparingRebalance consumer/
    c-a c /h 10000/60000 =""
    c-b c /h 10000/60000 =""
    i-c@i c /h 10000/60000 =""
  join a id=c-a
  join b id=c-b
  join c id=i-c instance=i
    c <- GROUP_MAX_SIZE_REACHED id=
    ! group has a new generation
    a <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:A c-b:A
    b <- NONE id=c-b gen=2 consumer/range leader=c-a
  join d id=c-a instance=i
    d <- UNKNOWN_MEMBER_ID id=c-a
`;

test("what a member says is copied out of the request", () => {
  const script = new GroupScript();
  const metadata = Buffer.from("A");
  script.core.join({ groupId: "g", memberId: "", instanceId: null, clientId: "c", clientHost: "/h", rebalanceTimeoutMs: 60_000, sessionTimeoutMs: 10_000, protocolType: "consumer", protocols: [{ name: "range", metadata }], requireKnownMemberId: false, supportsSkipping: false, reason: null, memberSuffix: "a" }, 1, script.now);
  metadata.write("B");
  script.core.effects.length = 0;
  script.core.expire(script.now);
  const joined = script.core.effects.find((effect) => effect.kind === "joined");
  expect(joined?.result.members[0]?.metadata.toString()).toBe("A");
});
