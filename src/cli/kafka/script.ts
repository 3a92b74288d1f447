import { OperationalError } from "../../lib/error.ts";
import type { ToolIo } from "../tool-io.ts";
import { parseArguments, type GivenOptions, type OptionSpec } from "./jopt.ts";
import { VERSION_LINE } from "./version.ts";

/** Exit codes of Kafka's scripts: wrong usage has none of its own. */
export const ScriptExit = { ok: 0, failed: 1 } as const;

/**
 * What one of Kafka's scripts with streams was given; a number: it has said all that there is to say, and ends with this
 * code. Throws ERR_USAGE.
 */
export async function scriptOptions(tool: string, specs: readonly OptionSpec[], argv: readonly string[], { output, err }: ToolIo): Promise<GivenOptions | number> {
  const parsed = parseArguments(tool, specs, argv.length === 0 ? ["--help"] : argv);
  switch (parsed.kind) {
    case "options":
      for (const notice of parsed.notices) err(notice);
      return parsed.options;
    case "help":
      if (argv.length === 0) err(parsed.text.trimEnd());
      else await output.write(Buffer.from(parsed.text));
      return argv.length === 0 ? ScriptExit.failed : ScriptExit.ok;
    case "version":
      await output.write(Buffer.from(`${VERSION_LINE}\n`));
      return ScriptExit.ok;
    case "wrong":
      throw usage(`${parsed.message}; ${tool} --help lists the options`);
  }
}

export function usage(problem: string): OperationalError {
  return new OperationalError("ERR_USAGE", problem);
}

/** A file that an option names. */
export function fileOption(options: GivenOptions, name: string): { readonly option: string; readonly path: string } | undefined {
  const path = options.one(name);
  return path === undefined ? undefined : { option: `--${name}`, path };
}

/** What came by an option that takes `key=value`, any number of times. */
export function pairOption(options: GivenOptions, name: string): { readonly option: string; readonly values: readonly string[] } {
  return { option: `--${name}`, values: options.all(name) };
}
