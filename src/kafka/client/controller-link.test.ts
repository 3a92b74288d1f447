import { expect, test } from "vitest";
import type { Host } from "../../host/host.ts";
import { World } from "../../host/sim/world.ts";
import { errorCode, OperationalError } from "../../lib/error.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { alterIsr } from "../protocol/messages/alter-isr.ts";
import { ControllerLink, type BrokerEndpoint } from "./controller-link.ts";

const LATENCY_MS = 10;

type Answer = number | "silence" | "refusal";

interface Stage {
  readonly world: World;
  readonly host: Host;
  readonly link: ControllerLink;
  /** What was asked of whom, and when: `broker@ms: newIsr`. */
  readonly asked: string[];
  readonly opened: number[];
  readonly closed: number[];
  controller: BrokerEndpoint | undefined;
  /** By broker; what is missing answers NONE. */
  readonly answers: Map<number, Answer>;
  readonly send: (broker: number) => Promise<number>;
}

function at(id: number, port = 9092): BrokerEndpoint {
  return { id, host: `kafka${id}`, port };
}

function stage(): Stage {
  const world = new World({ seed: 5, timerLateMsMax: 0, clockDriftPpmMax: 0 });
  const { host } = world.addNode("one");
  const self: Omit<Stage, "link" | "send"> = { world, host, asked: [], opened: [], closed: [], controller: at(1), answers: new Map() };
  const link = new ControllerLink({
    host,
    endpoint: () => state.controller,
    open: (endpoint) => {
      self.opened.push(endpoint.port === 9092 ? endpoint.id : endpoint.port);
      let abort: (error: Error) => void = () => undefined;
      return {
        send: (_api, _version, request) => {
          self.asked.push(`${endpoint.id}@${Math.round(world.nowMs)}: ${(request as unknown as { brokerId: number }).brokerId}`);
          const answer = self.answers.get(endpoint.id) ?? ErrorCode.NONE;
          return new Promise((resolve, reject) => {
            abort = reject;
            if (answer === "silence") return;
            host.timers.after(LATENCY_MS, () => (answer === "refusal" ? reject(new OperationalError("ECONNREFUSED", "away")) : resolve({ errorCode: answer, topics: [] } as never)));
          });
        },
        close: () => {
          self.closed.push(endpoint.id);
          abort(new OperationalError("ECONNABORTED", "closed"));
        },
      };
    },
  });
  const state: Stage = Object.assign(self, {
    link,
    send: async (broker: number) => (await link.send(alterIsr, 0, { brokerId: broker, brokerEpoch: 1, topics: [] }, (response) => response.errorCode === ErrorCode.NOT_CONTROLLER)).errorCode,
  });
  return state;
}

test("requests go out one after the other, in their order, over one connection", async () => {
  const { world, send, asked, opened } = stage();
  expect(await world.settle(Promise.all([send(7), send(8), send(9)]))).toEqual([0, 0, 0]);
  expect([asked, opened]).toEqual([["1@0: 7", "1@10: 8", "1@20: 9"], [1]]);
});

test("an error that is not about who the controller is comes back as it is", async () => {
  const { world, send, answers, asked } = stage();
  answers.set(1, ErrorCode.STALE_BROKER_EPOCH);
  expect(await world.settle(send(7))).toBe(ErrorCode.STALE_BROKER_EPOCH);
  expect(asked.length).toBe(1);
});

test("NOT_CONTROLLER, and no answer: over a new connection after 100 ms, before what waits behind it", async () => {
  for (const answer of [ErrorCode.NOT_CONTROLLER, "refusal"] as const) {
    const { world, send, answers, asked, opened, closed } = stage();
    answers.set(1, answer);
    world.after(150, () => answers.set(1, ErrorCode.NONE));
    await world.settle(Promise.all([send(7), send(8)]));
    expect([asked, opened, closed]).toEqual([["1@0: 7", "1@110: 7", "1@220: 7", "1@230: 8"], [1, 1, 1], [1, 1]]);
  }
});

test("the next attempt goes to whoever is the controller by then", async () => {
  const { world, send, answers, asked } = state();
  answers.set(1, ErrorCode.NOT_CONTROLLER);
  await world.settle(send(7));
  expect(asked).toEqual(["1@0: 7", "2@110: 7"]);

  function state(): Stage {
    const made = stage();
    made.world.after(50, () => (made.controller = at(2)));
    return made;
  }
});

test("a request to a controller that has moved since the one before opens another way", async () => {
  const made = stage();
  await made.world.settle(made.send(7));
  made.controller = at(2);
  await made.world.settle(made.send(8));
  made.controller = at(2, 9999);
  await made.world.settle(made.send(9));
  expect([made.opened, made.closed]).toEqual([[1, 2, 9999], [1, 2]]);
});

test("without a controller it looks again every 100 ms", async () => {
  const made = stage();
  made.controller = undefined;
  made.world.after(250, () => (made.controller = at(3)));
  await made.world.settle(made.send(7));
  expect(made.asked).toEqual(["3@300: 7"]);
});

test("close rejects, at once, what is under way, what waits behind it, and what comes later", async () => {
  for (const answer of ["silence", ErrorCode.NOT_CONTROLLER] as const) {
    const { world, link, send, answers } = stage();
    answers.set(1, answer);
    const codes = Promise.all([send(7), send(8)].map((sent) => sent.then(String, errorCode)));
    await world.run({ forMs: 50 });
    link.close();
    expect(await world.settle(codes)).toEqual(["ECONNABORTED", "ECONNABORTED"]);
    expect(world.nowMs).toBe(50);
    expect(await world.settle(send(9).then(String, errorCode))).toBe("ECONNABORTED");
  }
});
