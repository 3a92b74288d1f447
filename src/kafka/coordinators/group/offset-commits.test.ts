import { expect, test } from "vitest";
import type { GroupRules } from "./group-core.ts";
import { dedent, GroupScript } from "./testing/group-script.ts";

function plays(text: string, rules: Partial<GroupRules> = {}): void {
  expect(new GroupScript(rules).play(dedent(text))).toEqual(dedent(text));
}

test("who may commit, while the group does not exist, is empty, awaits assignments, is stable, and joins", () => {
  plays(`
    commit z1 gen=1 t-0=1
      z1 <- ILLEGAL_GENERATION
    commit z2 gen=0 id=c-a t-0=1
      z2 <- ILLEGAL_GENERATION
    commit a t-0=1
      append 1: t-0=1/
    done 1
      a <- NONE
    # empty
    commit b t-0=2
      append 2: t-0=2/
    done 2
      b <- NONE
    commit c id=c-x t-0=3
      append 3: t-0=3/
    done 3
      c <- NONE
    commit d gen=0 t-0=4
      d <- UNKNOWN_MEMBER_ID
    commit e gen=0 instance=i t-0=4
      e <- UNKNOWN_MEMBER_ID
    join a1
      ! group rebalances
    join b1 instance=i
    # joining
    commit f t-0=5
      f <- UNKNOWN_MEMBER_ID
    commit g id=c-a1 gen=0 t-0=5
      append 4: t-0=5/
    done 4
      g <- NONE
    +0
      ! group has a new generation
      a1 <- NONE id=c-a1 gen=1 consumer/range leader=c-a1 members c-a1:A i-b1@i:A
      b1 <- NONE id=i-b1 gen=1 consumer/range leader=c-a1
    # awaiting assignments
    commit h id=c-a1 gen=1 t-0=6
      h <- REBALANCE_IN_PROGRESS
    commit i id=c-a1 gen=0 t-0=6
      i <- ILLEGAL_GENERATION
    commit j t-0=6
      j <- UNKNOWN_MEMBER_ID
    sync a2 id=c-a1 gen=1 assign=c-a1:x,i-b1:y
      append 5: g gen=1 consumer/range leader=c-a1 [c-a1 10000/60000 A="x"] [i-b1 10000/60000 A="y"]
    done 5
      a2 <- NONE consumer/range "x"
    # stable
    commit k id=c-a1 gen=1 t-0=7
      append 6: t-0=7/
    done 6
      k <- NONE
    commit l id=c-a1 t-0=8
      l <- ILLEGAL_GENERATION
    commit m id=c-a1 gen=0 t-0=8
      m <- ILLEGAL_GENERATION
    commit n id=c-a1 gen=2 t-0=8
      n <- ILLEGAL_GENERATION
    commit o id=c-x gen=1 t-0=8
      o <- UNKNOWN_MEMBER_ID
    commit p instance=i t-0=8
      ! member fenced
      p <- FENCED_INSTANCE_ID
    commit q id=c-a1 gen=1 instance=i t-0=8
      ! member fenced
      q <- FENCED_INSTANCE_ID
    commit r id=i-b1 gen=1 instance=i t-0=8
      append 7: t-0=8/
    commit s t-0=8
      s <- UNKNOWN_MEMBER_ID
    commit u t-0=8 group=
      append 8: t-0=8/
  `);
});

test("a commit is answered, and seen by a fetch, when the log has it", () => {
  plays(`
    commit a t-0=5/m t-1=6
      append 1: t-0=5/m t-1=6/
    fetch t-0
      NONE
      t-0=-1/
    fetch t-0 t-1 stable
      NONE
      t-0=-1/ UNSTABLE_OFFSET_COMMIT
      t-1=-1/ UNSTABLE_OFFSET_COMMIT
    fetch all stable
      NONE
    done 1
      a <- NONE NONE
    fetch t-1 t-0 t-2 stable
      NONE
      t-1=6/
      t-0=5/m
      t-2=-1/
    fetch all
      NONE
      t-0=5/m
      t-1=6/
  `);
});

test("a commit that follows another is seen instead of it; meanwhile the first is seen, and unstable", () => {
  plays(`
    commit a t-0=5
      append 1: t-0=5/
    done 1
      a <- NONE
    commit b t-0=6
      append 2: t-0=6/
    fetch t-0
      NONE
      t-0=5/
    fetch t-0 stable
      NONE
      t-0=-1/ UNSTABLE_OFFSET_COMMIT
    fetch all stable
      NONE
      t-0=-1/ UNSTABLE_OFFSET_COMMIT
    done 2
      b <- NONE
    fetch t-0 stable
      NONE
      t-0=6/
  `);
});

test("of commits whose appends end in another order, the later in the log is seen", () => {
  plays(`
    commit a t-0=5
      append 1: t-0=5/
    commit b t-0=6
      append 2: t-0=6/
    done 2
      b <- NONE
    fetch t-0
      NONE
      t-0=6/
    fetch t-0 stable
      NONE
      t-0=-1/ UNSTABLE_OFFSET_COMMIT
    done 1
      a <- NONE
    fetch t-0 stable
      NONE
      t-0=6/
  `);
});

test("a failed commit leaves what was there, and does not stay pending", () => {
  plays(`
    commit a t-0=5
      append 1: t-0=5/
    done 1
      a <- NONE
    commit b t-0=6 t-1=7
      append 2: t-0=6/ t-1=7/
    done 2 REQUEST_TIMED_OUT
      ! commit failed
      b <- REQUEST_TIMED_OUT REQUEST_TIMED_OUT
    fetch t-0 t-1 stable
      NONE
      t-0=5/
      t-1=-1/
    fetch all
      NONE
      t-0=5/
  `);
});

test("a failed commit does not take one before it along that is still being appended", () => {
  plays(`
    commit a t-0=5
      append 1: t-0=5/
    commit b t-0=6
      append 2: t-0=6/
    done 2 NOT_ENOUGH_REPLICAS
      ! commit failed
      b <- COORDINATOR_NOT_AVAILABLE
    done 1
      a <- NONE
    fetch t-0 stable
      NONE
      t-0=5/
  `);
});

test("metadata that is too long is refused for its partition, the others are stored; none left is answered at once", () => {
  plays(`
    commit a t-0=5/12345678901 t-1=6/1234567890
      append 1: t-1=6/1234567890
    fetch t-0 t-1 stable
      NONE
      t-0=-1/
      t-1=-1/ UNSTABLE_OFFSET_COMMIT
    done 1
      a <- OFFSET_METADATA_TOO_LARGE NONE
    commit b t-0=5/12345678901
      b <- OFFSET_METADATA_TOO_LARGE
    fetch t-0 stable
      NONE
      t-0=-1/
    commit c t-0=5/12345678901 t-1=7
      append 3: t-1=7/
    done 3 NOT_LEADER_OR_FOLLOWER
      ! commit failed
      c <- OFFSET_METADATA_TOO_LARGE NOT_COORDINATOR
  `);
});

test("a refused commit, or one of nothing, leaves no group behind", () => {
  plays(`
    commit a t-0=5/12345678901
      a <- OFFSET_METADATA_TOO_LARGE
    list
      NONE
    commit b
      b <- nothing
    list
      NONE
  `);
});

test("a partition that a commit names twice is stored once, with the last that was said", () => {
  plays(`
    commit a t-0=5 t-1=7 t-0=6
      append 1: t-0=6/ t-1=7/
    done 1
      a <- NONE NONE NONE
    fetch t-0 t-1 stable
      NONE
      t-0=6/
      t-1=7/
  `);
});

const failures = {
  UNKNOWN_TOPIC_OR_PARTITION: "COORDINATOR_NOT_AVAILABLE",
  NOT_ENOUGH_REPLICAS: "COORDINATOR_NOT_AVAILABLE",
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: "COORDINATOR_NOT_AVAILABLE",
  NOT_LEADER_OR_FOLLOWER: "NOT_COORDINATOR",
  KAFKA_STORAGE_ERROR: "NOT_COORDINATOR",
  REQUEST_TIMED_OUT: "REQUEST_TIMED_OUT",
  MESSAGE_TOO_LARGE: "INVALID_COMMIT_OFFSET_SIZE",
  RECORD_LIST_TOO_LARGE: "INVALID_COMMIT_OFFSET_SIZE",
  INVALID_FETCH_SIZE: "INVALID_COMMIT_OFFSET_SIZE",
  CORRUPT_MESSAGE: "CORRUPT_MESSAGE",
};

test.each(Object.entries(failures))("an append of offsets that fails with %s is told as %s", (error, told) => {
  expect(new GroupScript().play(["commit a t-0=5", `done 1 ${error}`])).toContain(`  a <- ${told}`);
});

test("a commit restarts the session while the group is stable and while it joins", () => {
  plays(`
    join a session=6000
      ! group rebalances
    join b session=6000
    +0
      ! group has a new generation
      a <- NONE id=c-a gen=1 consumer/range leader=c-a members c-a:A c-b:A
      b <- NONE id=c-b gen=1 consumer/range leader=c-a
    sync a2 id=c-a gen=1 assign=c-a:x,c-b:y
      append 1: g gen=1 consumer/range leader=c-a [c-a 6000/60000 A="x"] [c-b 6000/60000 A="y"]
    sync b2 id=c-b gen=1
    done 1
      a2 <- NONE consumer/range "x"
      b2 <- NONE consumer/range "y"
    +5000
    commit a3 id=c-a gen=1 t-0=1
      append 2: t-0=1/
    +1000
      ! member failed
      ! group rebalances
    +4000
    commit a4 id=c-a gen=1 t-0=2
      append 3: t-0=2/
    +5999
    +1
      ! member failed
      ! group is empty
      append 4: g gen=2 consumer/null leader=null
  `);
});

test("a commit that is under way when the group is unloaded is answered by its own outcome", () => {
  plays(`
    commit a t-0=5
      append 1: t-0=5/
    commit b t-1=5
      append 2: t-1=5/
    unload
      ! groups unloaded
    done 1
      a <- NONE
    done 2 NOT_LEADER_OR_FOLLOWER
      ! commit failed
      b <- NOT_COORDINATOR
    fetch t-0
      NOT_COORDINATOR
    loading
    loaded
      ! groups loaded
    fetch all
      NONE
      t-0=5/
  `);
});

test("the commit time is the client's where it gives one, else now, and a retention of its own begins now", () => {
  plays(`
    commit a t-0=5 retention=500
      append 1: t-0=5/ expires=1000500
    commit b t-1=6 commitTime=12345
      append 2: t-1=6/
    done 1
      a <- NONE
    done 2
      b <- NONE
  `);
  const script = new GroupScript();
  script.play(["commit a t-0=5 commitTime=12345", "commit b t-0=6 retention=5 commitTime=7", "done 1", "done 2"]);
  const [group] = script.stored();
  expect(group?.offsets[0]?.committed).toEqual({ offset: 6, leaderEpoch: -1, metadata: "", commitWallMs: 7, expireWallMs: 1_000_005 });
});

test("the committed leader epoch is given back", () => {
  const script = new GroupScript();
  const commit = { groupId: "g", memberId: "", instanceId: null, generation: -1, retentionMs: undefined };
  script.core.commit({ ...commit, partitions: [{ topic: "t", partition: 0, offset: 5, leaderEpoch: 3, metadata: "", commitWallMs: undefined }] }, 1, script.now);
  script.core.appended(1, 0, 0, script.now);
  expect(script.core.fetchOffsets("g", null, false).offsets[0]?.leaderEpoch).toBe(3);
});

test("offsets of an open transaction are not given, and make a stable fetch wait", () => {
  const script = new GroupScript();
  const committed = { offset: 5, leaderEpoch: -1, metadata: "", commitWallMs: 0, expireWallMs: undefined };
  script.load([{ groupId: "g", group: undefined, offsets: [], transactional: [{ producerId: 9, topic: "t", partition: 0, committed, appendedOffset: 3 }] }]);
  const text = dedent(`
    fetch t-0
      NONE
      t-0=-1/
    fetch t-0 t-1 stable
      NONE
      t-0=-1/ UNSTABLE_OFFSET_COMMIT
      t-1=-1/
    expireOffsets
      0 gone
    list
      NONE
      g  Empty
    partitionsDeleted t-0
    fetch t-0 stable
      NONE
      t-0=-1/
  `);
  expect(script.play(text)).toEqual(text);
});
