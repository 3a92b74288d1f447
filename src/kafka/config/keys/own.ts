import { int, string } from "../../../lib/config/key.ts";

/** Settings of this project's own: Apache's broker names them as unknown and goes on. */
export const ownKeys = {
  "odradek.metrics.port": int(null, { min: 1, max: 65_535, doc: "The port for /metrics (in Prometheus' format) and /ready; unset means none" }),
  "odradek.metrics.host": string(null, { doc: "The name or address to open it at; all addresses where unset" }),
};
