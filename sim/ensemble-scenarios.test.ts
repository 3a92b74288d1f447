import { expect, test } from "vitest";
import { EnsembleScenario } from "./zookeeper/scenario.ts";

/** What seeds have found of members, each by hand. */

/** Seed 6092 of whole nodes: what the leader read was sent all at once, and until then it was silent for longer than a learner waits, each time anew. */
test("a member that was away for long is brought up to date from many small log files on a slow disk", async () => {
  await EnsembleScenario.play(
    async (s) => {
      const [leader, one, other] = s.roles;
      one.kill();
      const client = s.client([other]);
      await s.connected(client);
      // More than the leader's window of what it has committed last.
      for (let round = 0; round < 12; round++) await s.world.settle(Promise.all(Array.from({ length: 100 }, (_, value) => client.setData("/value", Buffer.from(String(value))))));
      await s.world.settle(client.close());
      leader.disk.options.latencyMs = [30, 30];
      s.syncs.length = 0;
      s.restart(one);
      await s.until("it serves", () => s.logged(one) === s.logged(leader), 60_000);
      // At the first try: none takes less than the one before.
      expect(s.syncs.map(({ learner, kind }) => [learner, kind])).toEqual([[s.idOf(one), "diff"]]);
      expect(await s.finish()).toBe("99");
    },
    { settings: ["snapCount=10", "preAllocSize=1", "snapshotSizeFactor=0"] },
  );
});
