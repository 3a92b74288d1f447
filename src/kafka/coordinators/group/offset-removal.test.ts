import { expect, test } from "vitest";
import type { GroupRules } from "./group-core.ts";
import { dedent, GroupScript } from "./testing/group-script.ts";

function plays(text: string, rules: Partial<GroupRules> = {}): void {
  expect(new GroupScript(rules).play(dedent(text))).toEqual(dedent(text));
}

test("DeleteGroups takes an empty group with its offsets, also those that are being committed, which then stay gone", () => {
  plays(`
    commit a t-0=5 t-1=6
      append 1: t-0=5/ t-1=6/
    done 1
      a <- NONE NONE
    commit b t-2=7
      append 2: t-2=7/
    delete g x g
      ! group deleted
      append none: -t-0 -t-1 -t-2
      NONE GROUP_ID_NOT_FOUND GROUP_ID_NOT_FOUND
    done 2
      b <- NONE
    fetch all
      NONE
    reload
      ! groups unloaded
      ! groups loaded
    fetch all
      NONE
    list
      NONE
  `);
});

test("DeleteGroups refuses groups that have members, and leaves a tombstone for one that had", () => {
  plays(`
    join a
      ! group rebalances
    delete g
      NON_EMPTY_GROUP
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    delete g
      NON_EMPTY_GROUP
    sync a2 id=c-a gen=1 assign=c-a:x
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    delete g
      NON_EMPTY_GROUP
    leave c-a
      ! member left
      ! group rebalances
      ! group is empty
      append 2: g gen=2 consumer/null leader=null
      NONE NONE
    done 2
    delete g
      ! group deleted
      append none: -g
      NONE
    delete g
      GROUP_ID_NOT_FOUND
  `);
});

test("tombstones go in batches of at most 500", () => {
  const script = new GroupScript();
  const offsets = Array.from({ length: 1001 }, (_, partition) => `t-${partition}=1`);
  script.play([`commit a ${offsets.join(" ")}`, "done 1"]);
  const appends = script.play(["delete g"]).filter((line) => line.startsWith("  append none"));
  expect(appends.map((line) => line.split(" ").length - 4)).toEqual([500, 500, 1]);
});

test("OffsetDelete: of an empty group everything, whether it is there or not; the last one takes the group along", () => {
  plays(`
    deleteOffsets t-0
      GROUP_ID_NOT_FOUND
    deleteOffsets t-0 group=
      INVALID_GROUP_ID
    commit a t-0=5 t-1=6
      append 1: t-0=5/ t-1=6/
    done 1
      a <- NONE NONE
    deleteOffsets t-0 t-9
      append none: -t-0
      NONE NONE NONE
    fetch all
      NONE
      t-1=6/
    deleteOffsets t-1
      ! group deleted
      append none: -t-1
      NONE NONE
    list
      NONE
  `);
});

test("OffsetDelete: of a group of consumers what nobody subscribes to", () => {
  plays(`
    join a protocols=range:~t+u
      ! group rebalances
    join b protocols=range:~v
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:~t+u c-b:~v
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x
      ! the leader has left members without an assignment
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 ~t+u="x"] [c-b 10000/60000 ~v=""]
    sync b2 id=c-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range ""
    commit a3 id=c-a gen=1 t-0=5 u-0=5 v-0=5 w-0=5
      append 2: t-0=5/ u-0=5/ v-0=5/ w-0=5/
    done 2
      a3 <- NONE NONE NONE NONE
    deleteOffsets t-0 w-0 v-0
      append none: -w-0
      NONE GROUP_SUBSCRIBED_TO_TOPIC NONE GROUP_SUBSCRIBED_TO_TOPIC
    fetch all
      NONE
      t-0=5/
      u-0=5/
      v-0=5/
    # also while it rebalances, when the last subscription counts
    join c protocols=range:~w
      ! group rebalances
    deleteOffsets t-0 w-0
      NONE GROUP_SUBSCRIBED_TO_TOPIC NONE
  `);
});

test("OffsetDelete: a subscription that can't be read has every topic; other protocol types have no subscription", () => {
  plays(`
    join a
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    deleteOffsets t-0
      NONE GROUP_SUBSCRIBED_TO_TOPIC
    join b group=h type=connect
      ! group rebalances
    deleteOffsets t-0 group=h
      NON_EMPTY_GROUP
  `);
});

test("offsets of deleted partitions go from every group, and groups that nothing is left of go too", () => {
  plays(`
    commit a group=g t-0=5 t-1=6
      append 1: t-0=5/ t-1=6/
    commit b group=h t-0=5
      append 2: t-0=5/
    done 1
      a <- NONE NONE
    done 2
      b <- NONE
    commit c group=h t-0=7
      append 3: t-0=7/
    partitionsDeleted t-0 u-0
      ! group deleted
      append none: -t-0 -t-0
      ! offsets of deleted partitions removed
    done 3
      c <- NONE
    list
      NONE
      g  Empty
    fetch all
      NONE
      t-1=6/
    fetch all group=h
      NONE
    partitionsDeleted t-0
  `);
});

test("a topic that is made again can be committed to at once, while an old commit still ends", () => {
  plays(`
    commit a t-0=5
      append 1: t-0=5/
    partitionsDeleted t-0
      ! group deleted
      append none: -t-0
      ! offsets of deleted partitions removed
    commit b t-0=1
      append 2: t-0=1/
    done 1
      a <- NONE
    fetch t-0
      NONE
      t-0=-1/
    done 2
      b <- NONE
    fetch t-0 stable
      NONE
      t-0=1/
    reload
      ! groups unloaded
      ! groups loaded
    fetch t-0
      NONE
      t-0=1/
  `);
});

test("offsets without a group expire by the time of their commits, but not while another is written", () => {
  plays(`
    commit a t-0=5 t-1=6
      append 1: t-0=5/ t-1=6/
    done 1
      a <- NONE NONE
    +60000
    commit b t-1=7
      append 2: t-1=7/
    done 2
      b <- NONE
    +39999
    expireOffsets
      0 gone
    commit c t-0=6
      append 3: t-0=6/
    +1
    expireOffsets
      0 gone
    done 3
      c <- NONE
    expireOffsets
      0 gone
    +60000
    expireOffsets
      ! offsets expired
      append none: -t-1
      1 gone
    +40000
    expireOffsets
      ! offsets expired
      ! group deleted
      append none: -t-0
      1 gone
    list
      NONE
  `);
});

test("offsets of an empty group expire by the time since it is empty, whenever they were committed", () => {
  plays(`
    join a
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
    sync a2 id=c-a gen=1 assign=c-a:x
      append 1: g gen=1 consumer/range leader=c-a [c-a 10000/60000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    commit a3 id=c-a gen=1 t-0=5
      append 2: t-0=5/
    done 2
      a3 <- NONE
    +5000
    leave c-a
      ! member left
      ! group rebalances
      ! group is empty
      append 3: g gen=2 consumer/null leader=null
      NONE NONE
    done 3
    +99999
    expireOffsets
      0 gone
    +1
    expireOffsets
      ! offsets expired
      ! group deleted
      append none: -t-0 -g
      1 gone
    list
      NONE
  `);
});

test("offsets of an empty group whose record has no time expire by the time of their commits", () => {
  const script = new GroupScript();
  const committed = { offset: 5, leaderEpoch: -1, metadata: "", commitWallMs: 950_000, expireWallMs: undefined };
  const group = { protocolType: "consumer", generation: 3, protocolName: null, leaderId: null, stateWallMs: undefined, members: [] };
  script.load([{ groupId: "g", group, offsets: [{ topic: "t", partition: 0, committed, appendedOffset: 3 }], transactional: [] }]);
  const text = dedent(`
    +49999
    expireOffsets
      0 gone
    +1
    expireOffsets
      ! offsets expired
      ! group deleted
      append none: -t-0 -g
      1 gone
  `);
  expect(script.play(text)).toEqual(text);
});

test("of a stable group of consumers expire the offsets of topics that nobody subscribes to any more", () => {
  plays(`
    join a protocols=range:~t session=600000
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:~t
    sync a2 id=c-a gen=1 assign=c-a:x
      append 1: g gen=1 consumer/range leader=c-a [c-a 600000/60000 ~t="x"]
    done 1
      a2 <- NONE consumer/range "x"
    commit a3 id=c-a gen=1 t-0=5 u-0=5
      append 2: t-0=5/ u-0=5/
    done 2
      a3 <- NONE NONE
    +100000
    # joining
    join b protocols=range:~v session=600000
      ! group rebalances
    expireOffsets
      0 gone
    join a4 id=c-a protocols=range:~t session=600000
      ! group has a new generation
      a4 <- NONE id=c-a gen=2 consumer/range leader=c-a members c-a:~t c-b:~v
      b <- NONE id=c-b gen=2 consumer/range leader=c-a
    # awaiting assignments
    expireOffsets
      0 gone
    sync a5 id=c-a gen=2 assign=c-a:x
      ! the leader has left members without an assignment
      append 3: g gen=2 consumer/range leader=c-a [c-a 600000/60000 ~t="x"] [c-b 600000/60000 ~v=""]
    done 3
      a5 <- NONE consumer/range "x"
    # stable
    expireOffsets
      ! offsets expired
      append none: -u-0
      1 gone
    fetch all
      NONE
      t-0=5/
  `);
});

test("of a stable group whose subscriptions are unknown, or of another type, nothing expires", () => {
  plays(`
    join a session=600000
      ! group rebalances
    join b type=connect group=h session=600000
      ! group rebalances
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
      ! group has a new generation
      b <- NONE id=c-b gen=1 connect/range leader=c-b members c-b:A
    sync a2 id=c-a gen=1 assign=c-a:x
      append 1: g gen=1 consumer/range leader=c-a [c-a 600000/60000 A="x"]
    sync b2 id=c-b gen=1 assign=c-b:x group=h
      append 2: h gen=1 connect/range leader=c-b [c-b 600000/60000 A="x"]
    done 1
      a2 <- NONE consumer/range "x"
    done 2
      b2 <- NONE connect/range "x"
    commit a3 id=c-a gen=1 t-0=5
      append 3: t-0=5/
    commit b3 id=c-b gen=1 t-0=5 group=h
      append 4: t-0=5/
    done 3
      a3 <- NONE
    done 4
      b3 <- NONE
    +200000
    expireOffsets
      0 gone
  `);
});

test("a client's own retention counts instead of the broker's, but never against a subscription", () => {
  plays(`
    commit a t-0=5 retention=500
      append 1: t-0=5/ expires=1000500
    commit b t-1=5 retention=200000
      append 2: t-1=5/ expires=1200000
    done 1
      a <- NONE
    done 2
      b <- NONE
    +499
    expireOffsets
      0 gone
    +1
    expireOffsets
      ! offsets expired
      append none: -t-0
      1 gone
    +199499
    expireOffsets
      0 gone
    +1
    expireOffsets
      ! offsets expired
      ! group deleted
      append none: -t-1
      1 gone
    join c group=h protocols=range:~t session=600000
      ! group rebalances
    +0
      ! group has a new generation
      c <- NONE id=c-c gen=1 consumer/range leader=c-c members c-c:~t
    sync c2 id=c-c gen=1 group=h
      ! the leader has left members without an assignment
      append 3: h gen=1 consumer/range leader=c-c [c-c 600000/60000 ~t=""]
    done 3
      c2 <- NONE consumer/range ""
    commit c3 id=c-c gen=1 group=h t-0=5 u-0=5 retention=500
      append 4: t-0=5/ expires=1200500 u-0=5/ expires=1200500
    done 4
      c3 <- NONE NONE
    +1000
    expireOffsets
      ! offsets expired
      append none: -u-0
      1 gone
  `);
});

test("a wall clock that steps back expires nothing and breaks nothing; one that steps forth expires what it says", () => {
  plays(`
    commit a t-0=5
      append 1: t-0=5/
    done 1
      a <- NONE
    wall -500000
    expireOffsets
      0 gone
    wall 599999
    expireOffsets
      0 gone
    wall 1
    expireOffsets
      ! offsets expired
      ! group deleted
      append none: -t-0
      1 gone
  `);
});

test("an empty group that members were given ids for is kept for them", () => {
  plays(`
    join a known
      a <- MEMBER_ID_REQUIRED id=c-a
    expireOffsets
      0 gone
    join b id=c-a
      ! group rebalances
    +0
      ! group has a new generation
      b <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A
  `);
});

test("an empty group without offsets goes; only one that had a generation leaves a tombstone", () => {
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
    commit b group=h t-0=5
      append 2: t-0=5/
    done 2 NOT_ENOUGH_REPLICAS
      ! commit failed
      b <- COORDINATOR_NOT_AVAILABLE
    expireOffsets
      ! group deleted
      ! group deleted
      append none: -g
      0 gone
    list
      NONE
  `);
});
