import { parentPath, QUOTA_PATH, ROOT_PATH } from "./paths.ts";

/** Limits and usage of subtrees. Sources: Quotas, StatsTrack, PathTrie. */

export const LIMITS_NAME = "zookeeper_limits";
export const STATS_NAME = "zookeeper_stats";

export interface QuotaNumbers {
  /** Znodes, the one at the top included; -1 for no limit. */
  readonly count: number;
  /** Of data; -1 for no limit. */
  readonly bytes: number;
}

export function formatQuota(quota: QuotaNumbers): string {
  return `count=${quota.count},bytes=${quota.bytes}`;
}

/** Takes the form of 3.8 too, which appends hard limits. What does not parse limits nothing. */
export function parseQuota(text: string): QuotaNumbers {
  const match = /^count=(-?\d+),bytes=(-?\d+)/.exec(text);
  return match === null ? { count: -1, bytes: -1 } : { count: Number(match[1]), bytes: Number(match[2]) };
}

export function limitsPath(path: string): string {
  return `${QUOTA_PATH}${path}/${LIMITS_NAME}`;
}

export function statsPath(path: string): string {
  return `${QUOTA_PATH}${path}/${STATS_NAME}`;
}

/** The path that a limits or stats node at `path` speaks of; undefined outside the quota tree and for the root. */
export function quotaTarget(parent: string): string | undefined {
  return parent.startsWith(`${QUOTA_PATH}/`) ? parent.slice(QUOTA_PATH.length) : undefined;
}

/** The paths that have limits. */
export class QuotaPaths {
  readonly #paths = new Set<string>();

  add(path: string): void {
    this.#paths.add(path);
  }

  delete(path: string): void {
    this.#paths.delete(path);
  }

  /** The nearest one at or above `path`. */
  covering(path: string): string | undefined {
    if (this.#paths.size === 0) return undefined;
    for (let at = path; at !== ROOT_PATH; at = parentPath(at)) if (this.#paths.has(at)) return at;
    return undefined;
  }
}
