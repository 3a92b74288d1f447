import { expect, test } from "vitest";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { GroupCore, groupPartition, type GroupRules } from "./group-core.ts";
import { dedent, GroupScript } from "./testing/group-script.ts";
import type { LoadedGroup, StoredMember } from "./types.ts";

function plays(text: string, rules: Partial<GroupRules> = {}): void {
  expect(new GroupScript(rules).play(dedent(text))).toEqual(dedent(text));
}

test("a group lives in the partition that Java's hash of its id gives; the one hash without an absolute value in 0", () => {
  expect(groupPartition("", 50)).toBe(0);
  // "hello".hashCode() is 99162322.
  expect(groupPartition("hello", 50)).toBe(22);
  // "polygenelubricants".hashCode() is -2147483648.
  expect(groupPartition("polygenelubricants", 7)).toBe(0);
});

test("while its partition is loaded a group is said to load, but to those who would not understand it", () => {
  plays(`
    unload
      ! groups unloaded
    loading
    join a
      a <- COORDINATOR_LOAD_IN_PROGRESS id=
    sync b id=c-a gen=1
      b <- REBALANCE_IN_PROGRESS
    beat id=c-a gen=1
      NONE
    leave c-a
      COORDINATOR_LOAD_IN_PROGRESS
    commit c t-0=1 t-1=1
      c <- COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_LOAD_IN_PROGRESS
    fetch t-0
      COORDINATOR_LOAD_IN_PROGRESS
    describe
      COORDINATOR_LOAD_IN_PROGRESS  /
    delete g
      COORDINATOR_LOAD_IN_PROGRESS
    deleteOffsets t-0
      COORDINATOR_LOAD_IN_PROGRESS
    list
      COORDINATOR_LOAD_IN_PROGRESS
    expireOffsets
      0 gone
  `);
});

test("a group whose partition is elsewhere is not ours, whatever is asked", () => {
  plays(`
    unload
      ! groups unloaded
    join a
      a <- NOT_COORDINATOR id=
    sync b id=c-a gen=1
      b <- NOT_COORDINATOR
    beat id=c-a gen=1
      NOT_COORDINATOR
    leave c-a
      NOT_COORDINATOR
    commit c t-0=1 t-1=1
      c <- NOT_COORDINATOR NOT_COORDINATOR
    fetch t-0
      NOT_COORDINATOR
    describe
      NOT_COORDINATOR  /
    delete g
      NOT_COORDINATOR
    deleteOffsets t-0
      NOT_COORDINATOR
    list
      NONE
    expireOffsets
      0 gone
  `);
});

test("the group without a name keeps offsets and nothing else, and that is said before where it is", () => {
  plays(`
    commit a group= t-0=5
      append 1: t-0=5/
    done 1
      a <- NONE
    fetch all group=
      NONE
      t-0=5/
    describe group=
      NONE Empty /
    unload
      ! groups unloaded
    join b group=
      b <- INVALID_GROUP_ID id=
    sync c group= gen=1
      c <- INVALID_GROUP_ID
    beat group= gen=1
      INVALID_GROUP_ID
    leave c-a group=
      INVALID_GROUP_ID
    deleteOffsets t-0 group=
      INVALID_GROUP_ID
    commit d group= t-0=5
      d <- NOT_COORDINATOR
    fetch all group=
      NOT_COORDINATOR
    describe group=
      NOT_COORDINATOR  /
  `);
});

test("a group that does not exist is described as dead, and an offset of it is fetched as none", () => {
  plays(`
    describe
      NONE Dead /
    fetch t-0 t-1 stable
      NONE
      t-0=-1/
      t-1=-1/
    fetch all
      NONE
  `);
});

test("groups are listed by state, without regard to case, and by type", () => {
  plays(`
    commit a group=e t-0=1
      append 1: t-0=1/
    done 1
      a <- NONE
    join b group=p
      ! group rebalances
    join c group=s
      ! group rebalances
    +0
      ! group has a new generation
      b <- NONE id=c-b gen=1 consumer/range leader=c-b members c-b:A
      ! group has a new generation
      c <- NONE id=c-c gen=1 consumer/range leader=c-c members c-c:A
    sync c2 group=s id=c-c gen=1 assign=c-c:x
      append 2: s gen=1 consumer/range leader=c-c [c-c 10000/60000 A="x"]
    done 2
      c2 <- NONE consumer/range "x"
    join d group=q
      ! group rebalances
    list
      NONE
      e  Empty
      p consumer CompletingRebalance
      s consumer Stable
      q consumer PreparingRebalance
    list states=empty,STABLE
      NONE
      e  Empty
      s consumer Stable
    list states=PreparingRebalance types=Classic
      NONE
      q consumer PreparingRebalance
    list types=consumer
      NONE
    list states=Dead
      NONE
    list types=consumer,classic states=completingrebalance
      NONE
      p consumer CompletingRebalance
  `);
});

test("a load brings groups back as they were stored: with members stable, without empty, with offsets", () => {
  plays(`
    join a instance=i session=6000 protocols=range:~t
      ! group rebalances
    join b protocols=range:~u
    +0
      ! group has a new generation
      a <- NONE id=i-a gen=1 consumer/range leader=i-a members i-a@i:~t c-b:~u
      b <- NONE id=c-b gen=1 consumer/range leader=i-a
    sync a2 id=i-a gen=1 assign=i-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=i-a [i-a 6000/60000 ~t="x"] [c-b 10000/60000 ~u="y"]
    sync b2 id=c-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    commit a3 id=i-a gen=1 t-0=5/m
      append 2: t-0=5/m
    done 2
      a3 <- NONE
    commit c group=h t-0=7
      append 3: t-0=7/
    done 3
      c <- NONE
    +3000
    reload
      ! groups unloaded
      ! groups loaded
    describe
      NONE Stable consumer/range
      i-a@i c /h 6000/60000 ~t="x"
      c-b c /h 10000/60000 ~u="y"
    fetch all stable
      NONE
      t-0=5/m
    describe group=h
      NONE Empty /
    fetch all group=h
      NONE
      t-0=7/
    beat id=c-b gen=1
      NONE
    sync b4 id=c-b gen=1
      b4 <- NONE consumer/range "y"
    # subscriptions are known again
    deleteOffsets t-0 v-0
      NONE GROUP_SUBSCRIBED_TO_TOPIC NONE
    # sessions begin anew
    +5999
    +1
      ! member failed
      ! group rebalances
  `);
});

test("assignments that reach the log though their coordinator has given up are what the next one finds", () => {
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
    unload
      a2 <- NOT_COORDINATOR
      ! groups unloaded
    done 1
    loading
    loaded
      ! groups loaded
    describe
      NONE Stable consumer/range
      c-a c /h 10000/60000 A="x"
      c-b c /h 10000/60000 A="y"
    list
      NONE
      g consumer Stable
  `);
});

test("whoever waits is told when the partition goes: joining", () => {
  plays(`
    join a
      ! group rebalances
    join b known
      b <- MEMBER_ID_REQUIRED id=c-b
    unload
      a <- NOT_COORDINATOR id=c-a
      ! groups unloaded
    deadline
      none
    +600000
  `);
});

test("whoever waits is told when the partition goes: awaiting assignments, whose append then means nothing", () => {
  plays(`
    join a
      ! group rebalances
    join b
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync b2 id=c-b gen=1
    sync a2 id=c-a gen=1 assign=c-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"] [c-b 10000/60000 A="y"]
    unload
      a2 <- NOT_COORDINATOR
      b2 <- NOT_COORDINATOR
      ! groups unloaded
    done 1 NOT_LEADER_OR_FOLLOWER
      ! group record could not be stored
    deadline
      none
    +600000
  `);
});

test("whoever waits is told when the partition goes: a static member whose new id is being stored", () => {
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
    unload
      b <- NOT_COORDINATOR id=i-b
      ! groups unloaded
    done 2
    deadline
      none
    +600000
  `);
});

test("a load that another epoch asked for changes nothing, and what is not led is not unloaded", () => {
  const core = new GroupCore({ partitionCount: 1, rules: { minSessionTimeoutMs: 6000, maxSessionTimeoutMs: 1_800_000, initialRebalanceDelayMs: 0, maxSize: 10, offsetMetadataCharsMax: 4096, offsetsRetentionMs: 1000 } });
  const now = { ms: 0, wallMs: 0 };
  core.unloaded(0, now);
  core.newEpoch(0, 9);
  core.loaded(0, 9, [], now);
  expect(core.ownedPartitions).toEqual([]);
  core.loading(0, 1);
  core.newEpoch(0, 2);
  core.loaded(0, 1, [], now);
  expect(core.ownedPartitions).toEqual([]);
  core.loaded(0, 2, [], now);
  expect(core.ownedPartitions).toEqual([0]);
  core.loaded(0, 2, [{ groupId: "g", group: undefined, offsets: [], transactional: [] }], now);
  expect(core.list([], []).groups).toEqual([]);
  core.unloaded(0, now);
  expect(core.ownedPartitions).toEqual([]);
});

test("an outcome that no append waits for is a broken invariant", () => {
  const script = new GroupScript();
  script.play(["commit a t-0=1", "done 1"]);
  expect(() => script.core.appended(1, ErrorCode.NONE, 0, script.now)).toThrow("append 1 is under way");
});

const member: StoredMember = { memberId: "m", instanceId: null, clientId: "c", clientHost: "/h", rebalanceTimeoutMs: 60_000, sessionTimeoutMs: 10_000, subscription: Buffer.from("S"), assignment: Buffer.from("A") };

function stored(members: readonly StoredMember[], leaderId: string | null = "m"): LoadedGroup {
  return { groupId: "g", group: { protocolType: "consumer", generation: 7, protocolName: "range", leaderId, stateWallMs: 5, members }, offsets: [], transactional: [] };
}

test("a group that is larger than group.max.size rebalances when it is loaded", () => {
  const script = new GroupScript({ maxSize: 1 });
  script.load([stored([member, { ...member, memberId: "n" }])]);
  expect(script.play(["describe"])[1]).toBe("  NONE PreparingRebalance consumer/");
});

test("a record whose leader is no member, or that names a member or an instance twice, gives a group that holds together", () => {
  const script = new GroupScript();
  script.load([stored([{ ...member, instanceId: "i" }, { ...member, memberId: "n", instanceId: "i" }, { ...member, memberId: "n" }], "gone")]);
  const text = dedent(`
    describe
      NONE Stable consumer/range
      n c /h 10000/60000 S="A"
    join a id=n protocols=range:S
      ! group rebalances
      ! group has a new generation
      a <- NONE id=n gen=8 consumer/range leader=n members n:S
  `);
  expect(script.play(text)).toEqual(text);
});
