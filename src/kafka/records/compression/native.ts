import { createRequire } from "node:module";
import { errorCode } from "../../../lib/error.ts";

/**
 * The codecs that are native code, loaded when first used: most brokers pass batches on as they came and never need
 * one, and each would cost a start some ten milliseconds and megabytes.
 */
const load = createRequire(import.meta.url);

export function snappy(): typeof import("snappy") {
  return load("snappy") as typeof import("snappy");
}

export function lz4(): typeof import("lz4-napi") {
  return load("lz4-napi") as typeof import("lz4-napi");
}

export function zstd(): typeof import("@toondepauw/node-zstd") {
  return load("@toondepauw/node-zstd") as typeof import("@toondepauw/node-zstd");
}

/** What the loader throws where a package, or the part of it for this platform, is not installed. */
export function isCodecMissing(error: unknown): boolean {
  const code = errorCode(error);
  return code === "MODULE_NOT_FOUND" || code === "ERR_DLOPEN_FAILED";
}
