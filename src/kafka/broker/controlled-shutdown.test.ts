import { expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import { OperationalError } from "../../lib/error.ts";
import type { BrokerEndpoint } from "../client/controller-link.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { handOver } from "./controlled-shutdown.ts";

const BACKOFF_MS = 500;
const TIMEOUT_MS = 1000;

type Answer = { readonly errorCode: number; readonly remaining?: readonly string[] } | "silence" | "no controller";

const DONE: Answer = { errorCode: ErrorCode.NONE };

/** Asks as the answers say, one an attempt; the last one stands for all that follow. */
async function run(answers: readonly Answer[], attempts = 3) {
  const world = new World({ seed: 5, timerLateMsMax: 0, clockDriftPpmMax: 0 });
  const node = world.addNode("one");
  const { host } = node;
  const asked: string[] = [];
  let looked = 0;
  let epoch = 40;
  let open = 0;
  const next = (): Answer => answers[Math.min(looked - 1, answers.length - 1)] ?? DONE;
  const outcome = await world.settle(
    handOver({
      host,
      brokerId: 3,
      brokerEpoch: () => epoch++,
      endpoint: (): BrokerEndpoint | undefined => {
        looked += 1;
        return next() === "no controller" ? undefined : { id: looked, host: "kafka", port: 9092 };
      },
      open: (endpoint) => {
        open += 1;
        return {
          send: (api, version, request) => {
            asked.push(`${api.name} ${version} to ${endpoint.id}: ${JSON.stringify(request)}`);
            const answer = next();
            return new Promise((resolve, reject) => {
              if (answer === "silence" || answer === "no controller") host.timers.after(TIMEOUT_MS, () => reject(new OperationalError("REQUEST_TIMED_OUT", "no answer")));
              else resolve({ errorCode: answer.errorCode, remainingPartitions: (answer.remaining ?? []).map((topicName) => ({ topicName, partitionIndex: 0 })) } as never);
            });
          },
          close: () => {
            open -= 1;
          },
        };
      },
      attempts,
      backoffMs: BACKOFF_MS,
    }),
  );
  expect(open).toBe(0);
  return { outcome, asked, tookMs: world.nowMs, log: node.log.lines().join("\n") };
}

test("the first answer with nothing left ends it", async () => {
  const { outcome, asked, tookMs, log } = await run([DONE]);
  expect([outcome, asked, tookMs]).toEqual([true, ['ControlledShutdown 3 to 1: {"brokerId":3,"brokerEpoch":40}'], 0]);
  expect(log).toContain("controlled shutdown succeeded");
});

test("partitions that remain, a stale epoch and a broker that is not the controller are asked about again, with the epoch and the controller of then", async () => {
  for (const answer of [{ errorCode: ErrorCode.NONE, remaining: ["a"] }, { errorCode: ErrorCode.STALE_BROKER_EPOCH }, { errorCode: ErrorCode.STALE_CONTROLLER_EPOCH }] as const) {
    const { outcome, asked, tookMs } = await run([answer, DONE]);
    expect([outcome, tookMs]).toEqual([true, BACKOFF_MS]);
    expect(asked[1]).toBe('ControlledShutdown 3 to 2: {"brokerId":3,"brokerEpoch":41}');
  }
});

test("what remains after the last attempt is said, and there is no pause after it", async () => {
  const { outcome, asked, tookMs, log } = await run([{ errorCode: ErrorCode.NONE, remaining: ["a", "b"] }]);
  expect([outcome, asked.length, tookMs]).toEqual([false, 3, 2 * BACKOFF_MS]);
  expect(log).toContain("controlled shutdown failed");
  expect(log).toContain("a-0");
  expect(log).toContain("b-0");
});

test("nobody there costs no more than the attempts' timeouts and pauses", async () => {
  expect(await run(["silence"])).toMatchObject({ outcome: false, tookMs: 3 * TIMEOUT_MS + 2 * BACKOFF_MS });
  expect(await run(["no controller"])).toMatchObject({ outcome: false, asked: [], tookMs: 2 * BACKOFF_MS });
  expect(await run(["silence", "no controller", DONE])).toMatchObject({ outcome: true, tookMs: TIMEOUT_MS + 2 * BACKOFF_MS });
});
