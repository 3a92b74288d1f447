import { inspect } from "node:util";
import type { LogFields, Logger } from "../log.ts";

type Level = "debug" | "info" | "warn" | "error";

interface LogLine {
  readonly timeUs: number;
  readonly level: Level;
  readonly life: number;
  readonly component: string;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

/** The last lines of a node, over all its lives. They never reach the rolling hash. */
export class LogTail {
  readonly #nodeName: string;
  readonly #linesMax: number;
  readonly #print: ((line: string) => void) | undefined;
  readonly #lines: LogLine[] = [];
  #count = 0;

  constructor(options: { nodeName: string; linesMax: number; print: ((line: string) => void) | undefined }) {
    this.#nodeName = options.nodeName;
    this.#linesMax = options.linesMax;
    this.#print = options.print;
  }

  add(line: LogLine): void {
    this.#print?.(this.#format(line));
    if (this.#linesMax === 0) return;
    this.#lines[this.#count % this.#linesMax] = line;
    this.#count++;
  }

  /** Oldest first. Fields are written out now, so an object that changed since shows its present state. */
  lines(): string[] {
    const start = this.#count > this.#linesMax ? this.#count % this.#linesMax : 0;
    return [...this.#lines.slice(start), ...this.#lines.slice(0, start)].map((line) => this.#format(line));
  }

  #format({ timeUs, level, life, component, message, fields }: LogLine): string {
    const where = `${this.#nodeName}/${life}${component === "" ? "" : ` ${component}`}`;
    const more = fields === undefined ? "" : ` ${inspect(fields, { depth: 4, breakLength: Infinity })}`;
    return `${(timeUs / 1000).toFixed(3)} ms ${level} ${where}: ${message}${more}`;
  }
}

export function simLogger(options: { tail: LogTail; life: { readonly number: number; readonly alive: boolean }; nowUs: () => number }, component = ""): Logger {
  const { tail, life, nowUs } = options;
  const at =
    (level: Level) =>
    (message: string, fields?: LogFields): void => {
      if (life.alive) tail.add({ timeUs: nowUs(), level, life: life.number, component, message, fields });
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (name) => simLogger(options, component === "" ? name : `${component}.${name}`),
  };
}
