import { brokerOfPath, paths, topicOfPath } from "../znodes/paths.ts";
import type { ControllerEvent } from "./effects.ts";
import type { WatchEvent } from "./ports.ts";

const childEvents: ReadonlyMap<string, ControllerEvent> = new Map([
  [paths.brokerIds, { kind: "brokerChange" }],
  [paths.topics, { kind: "topicChange" }],
  [paths.deleteTopics, { kind: "topicDeletion" }],
  [paths.isrChanges, { kind: "isrChange" }],
  [paths.logDirEvents, { kind: "logDirEvent" }],
]);

/** What a watch that has fired means to the controller; undefined: nothing, since another watch tells it. */
export function eventOfWatch({ kind, path }: WatchEvent): ControllerEvent | undefined {
  if (path === paths.controller) return { kind: "controllerChange" };
  if (kind === "childrenChanged") return childEvents.get(path);
  if (path === paths.preferredElection) return kind === "created" ? { kind: "preferredElection" } : undefined;
  if (kind !== "dataChanged") return undefined;
  const brokerId = brokerOfPath(path);
  if (brokerId !== undefined) return { kind: "brokerModification", brokerId };
  const topic = topicOfPath(path);
  return topic === undefined ? undefined : { kind: "partitionChange", topic };
}
