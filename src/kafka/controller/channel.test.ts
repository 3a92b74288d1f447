import { expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import { OperationalError } from "../../lib/error.ts";
import { BrokerChannel } from "./channel.ts";
import type { ControlExchange, ControlRequest } from "./effects.ts";
import type { BrokerLink } from "./ports.ts";

const request: ControlRequest = { api: "updateMetadata", body: { controllerId: 1, controllerEpoch: 1, topicStates: [], ungroupedPartitionStates: [], liveBrokers: [] } };

function stage(outcome: "answer" | "failure"): { world: World; channel: BrokerChannel; sent: () => number; answered: ControlExchange[] } {
  const world = new World({ seed: 3 });
  const { host } = world.addNode("one");
  let sent = 0;
  const link: BrokerLink = {
    send: () => {
      sent++;
      return new Promise((resolve, reject) => {
        host.timers.after(10, () => (outcome === "answer" ? resolve({ errorCode: 0 } as never) : reject(new OperationalError("ECONNREFUSED", "away"))));
      });
    },
    close: () => undefined,
  };
  const answered: ControlExchange[] = [];
  return { world, channel: new BrokerChannel(host.timers, host.log, link, (exchange) => answered.push(exchange)), sent: () => sent, answered };
}

test("an answer that comes after the channel is closed counts for nothing", async () => {
  const { world, channel, sent, answered } = stage("answer");
  channel.push(request);
  channel.push(request);
  const running = channel.run();
  await world.run({ forMs: 5 });
  channel.close();
  await world.settle(running);
  expect([sent(), answered.length]).toEqual([1, 0]);
});

test("who waits until the broker has been told waits for what is queued by then, and for no longer than the channel is open", async () => {
  const { world, channel, answered } = stage("answer");
  const told: string[] = [];
  void channel.told().then(() => told.push(`nothing: ${answered.length}`));
  channel.push(request);
  channel.push(request);
  void channel.told().then(() => told.push(`two: ${answered.length}`));
  channel.push({ api: "stopReplica", body: { controllerId: 1, controllerEpoch: 1, deletePartitions: false, ungroupedPartitions: [], topics: [], topicStates: [] } });
  void channel.told().then(() => told.push(`all: ${answered.length}`));
  const running = channel.run();
  await world.run({ forMs: 25 });
  expect(told).toEqual(["nothing: 0", "two: 2"]);
  channel.close();
  await world.settle(running);
  expect(told).toEqual(["nothing: 0", "two: 2", "all: 2"]);
});

test("a channel closed between two attempts ends at once", async () => {
  const { world, channel, sent } = stage("failure");
  channel.push(request);
  const running = channel.run();
  await world.run({ forMs: 30 });
  channel.close();
  const before = world.nowMs;
  await world.settle(running);
  expect([sent(), world.nowMs]).toEqual([1, before]);
});

test("a broker that stays away is spoken of once, and once more when it answers", async () => {
  const world = new World({ seed: 3 });
  const node = world.addNode("one");
  const { host } = node;
  let sent = 0;
  const link: BrokerLink = {
    send: () => (++sent % 5 === 0 ? Promise.resolve({ errorCode: 0 } as never) : Promise.reject(new OperationalError("ECONNREFUSED", "away"))),
    close: () => undefined,
  };
  const channel = new BrokerChannel(host.timers, host.log, link, () => undefined);
  channel.push(request);
  channel.push({ api: "stopReplica", body: { controllerId: 1, controllerEpoch: 1, deletePartitions: false, ungroupedPartitions: [], topics: [], topicStates: [] } });
  await world.settle(channel.run());
  expect(sent).toBe(10);
  const said = node.log.lines().map((line) => /does not answer|answers the controller again/.exec(line)?.[0]);
  expect(said.filter((words) => words !== undefined)).toEqual(["does not answer", "answers the controller again", "does not answer", "answers the controller again"]);
});

test("UpdateMetadata requests that wait become one, behind the one under way and not across other requests", async () => {
  const world = new World({ seed: 3 });
  const { host } = world.addNode("one");
  const sent: string[] = [];
  const link: BrokerLink = {
    send: (api, _version, body) => {
      const states = (body as unknown as { topicStates: readonly { topicName: string }[] }).topicStates;
      sent.push(`${api.name} ${states.map(({ topicName }) => topicName).join(" ")}`);
      return new Promise((resolve, reject) => {
        host.timers.after(10, () => (sent.length > 3 ? resolve({ errorCode: 0, partitionErrors: [] } as never) : reject(new OperationalError("ECONNREFUSED", "away"))));
      });
    },
    close: () => undefined,
  };
  let answered = 0;
  const channel = new BrokerChannel(host.timers, host.log, link, () => answered++);
  const metadata = (topicName: string): ControlRequest => ({ api: "updateMetadata", body: { controllerId: 1, controllerEpoch: 1, topicStates: [{ topicName, partitionStates: [] }], ungroupedPartitionStates: [], liveBrokers: [] } });
  const stop: ControlRequest = { api: "stopReplica", body: { controllerId: 1, controllerEpoch: 1, deletePartitions: false, ungroupedPartitions: [], topics: [], topicStates: [] } };
  channel.push(metadata("a"));
  const running = channel.run();
  await world.run({ forMs: 5 });
  for (const next of [metadata("b"), metadata("c"), metadata("d"), stop, metadata("e"), metadata("f")]) channel.push(next);
  await world.settle(running);
  expect(sent).toEqual(["UpdateMetadata a", "UpdateMetadata a", "UpdateMetadata a", "UpdateMetadata a", "UpdateMetadata b c d", "StopReplica ", "UpdateMetadata e f"]);
  expect(answered).toBe(4);
});
