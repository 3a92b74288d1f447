import { pino, type DestinationStream, type Logger as Pino } from "pino";
import type { LogFields, Logger } from "../log.ts";

/** `warn` and up by default in tests, `info` on a server. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export function realLogger(options: { readonly level: LogLevel; readonly destination?: DestinationStream }): Logger {
  const root = pino(
    { level: options.level, base: null, serializers: { error: pino.stdSerializers.errWithCause } },
    // Written as it happens: a node that dies must not keep its last words in a buffer.
    options.destination ?? pino.destination({ dest: 1, sync: true }),
  );
  return wrap(root);
}

function wrap(logger: Pino): Logger {
  const at =
    (level: "debug" | "info" | "warn" | "error") =>
    (message: string, fields?: LogFields): void => {
      if (fields === undefined) logger[level](message);
      else logger[level](fields, message);
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (component) => wrap(logger.child({ component })),
  };
}
