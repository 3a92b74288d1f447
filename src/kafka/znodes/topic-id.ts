import { createHash } from "node:crypto";
import type { TopicZnode } from "./topic.ts";

const reserved: readonly string[] = ["AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAQ"];

/**
 * A topic's id towards clients, as 22 characters of URL-safe base64. A `topic_id` in the topic's znode (written by
 * 2.8 and later) wins. Otherwise every broker derives the same one from the cluster's id, the topic's name and the
 * czxid of its znode, so that a topic that is deleted and made again gets another id. It has the form of a random
 * UUID (version 4), is none of the reserved ids and does not start with a dash, like those that Uuid.randomUuid makes.
 */
export function topicId(clusterId: string, topic: string, topicCzxid: number, rest: TopicZnode["rest"]): string {
  const given = rest["topic_id"];
  if (typeof given === "string" && /^[A-Za-z0-9_-]{21}[AQgw]$/.test(given) && !reserved.includes(given)) return given;
  for (let attempt = 0; ; attempt++) {
    const bytes = createHash("sha256").update(JSON.stringify([clusterId, topic, topicCzxid, attempt])).digest().subarray(0, 16);
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    const id = bytes.toString("base64url");
    if (!id.startsWith("-")) return id;
  }
}
