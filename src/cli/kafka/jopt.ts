import { Command, CommanderError } from "commander";
import { must } from "../../lib/assert.ts";

/** An option of one of Kafka's scripts, by its long name without dashes. `--help` and `--version` every tool has. */
export interface OptionSpec {
  readonly name: string;
  readonly arg: "none" | "required" | "optional";
  readonly help: string;
  /** Of the argument; int is what Java's Integer holds, long a whole number that is exact here. */
  readonly type?: "int" | "long";
  /** May be given several times. */
  readonly list?: boolean;
  /** Each argument is a list with commas. */
  readonly split?: boolean;
  /** Makes sense beside one of these only. */
  readonly onlyWith?: readonly string[];
  /** Has to be there, unless one of these is. */
  readonly requiredUnless?: readonly string[];
  /** Known, but without effect here, which is told; "silently": it never had one. */
  readonly ignored?: true | "silently";
  /** Known and refused: why. */
  readonly refused?: string;
}

/** One option as it was given; `value` undefined: without an argument. */
export interface GivenOption {
  readonly name: string;
  readonly value: string | undefined;
}

export type ParsedArguments =
  | { readonly kind: "options"; readonly options: GivenOptions; /** For people, one line each. */ readonly notices: readonly string[] }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version" }
  | { readonly kind: "wrong"; readonly message: string };

/** What was given, after all checks. */
export class GivenOptions {
  /** In the order of the command line. */
  readonly inOrder: readonly GivenOption[];

  constructor(inOrder: readonly GivenOption[]) {
    this.inOrder = inOrder;
  }

  has(name: string): boolean {
    return this.inOrder.some((given) => given.name === name);
  }

  /** Undefined: not given, or without an argument. */
  one(name: string): string | undefined {
    return this.inOrder.find((given) => given.name === name)?.value;
  }

  all(name: string): readonly string[] {
    return this.inOrder.flatMap((given) => (given.name === name && given.value !== undefined ? [given.value] : []));
  }

  number(name: string): number | undefined {
    const text = this.one(name);
    return text === undefined ? undefined : Number(text);
  }
}

const COMMON: readonly OptionSpec[] = [
  { name: "help", arg: "none", help: "Print this text." },
  { name: "version", arg: "none", help: "Print the version." },
];

const INT_MAX = 0x7fff_ffff;

/**
 * Arguments as the scripts of Kafka 2.7.1 take them (jopt-simple 5 without abbreviations): also `-topic t`, `--topic=t`,
 * an argument for a flag, which is left out, and words that stand alone, which have no effect. Nothing is printed here.
 */
export function parseArguments(tool: string, specs: readonly OptionSpec[], argv: readonly string[]): ParsedArguments {
  const known = new Map([...specs, ...COMMON].map((spec) => [spec.name, spec]));
  const given: GivenOption[] = [];
  const command = new Command(tool).exitOverride().helpOption(false).configureOutput({ writeErr: () => undefined, writeOut: () => undefined }).allowExcessArguments(true);
  for (const { name, arg, help } of known.values()) {
    command.option(`--${name}${ARGUMENT[arg]}`, help);
    command.on(`option:${name}`, (value: string | null | undefined) => given.push({ name, value: value ?? undefined }));
  }
  try {
    command.parse(normalized(argv, known), { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return { kind: "wrong", message: error.message.replace(/^error: /, "") };
    throw error;
  }
  const options = new GivenOptions(given.flatMap((option) => split(option, known)));
  if (options.has("help")) return { kind: "help", text: command.helpInformation() };
  if (options.has("version")) return { kind: "version" };
  const [wrong] = faults(specs, options, given);
  if (wrong !== undefined) return { kind: "wrong", message: wrong };
  const ignored = specs.filter((spec) => spec.ignored === true && options.has(spec.name)).map(({ name }) => `--${name} has no effect here`);
  return { kind: "options", options, notices: [...ignored, ...(command.args.length > 0 ? [`ignored: ${command.args.join(" ")}`] : [])] };
}

const ARGUMENT: Readonly<Record<OptionSpec["arg"], string>> = { none: "", required: " <value>", optional: " [value]" };

/** What commander does not take: one dash before a long name, an argument for a flag. */
function normalized(argv: readonly string[], known: ReadonlyMap<string, OptionSpec>): string[] {
  const words: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const word = must(argv[index], "word");
    if (word === "--") return [...words, ...argv.slice(index)];
    const match = /^--?([^-=][^=]*)(=.*)?$/s.exec(word);
    const spec = known.get(match?.[1] ?? "");
    // A single letter behind one dash would be an option of its own.
    if (match === null || spec === undefined || (!word.startsWith("--") && spec.name.length === 1)) {
      words.push(word);
      continue;
    }
    const argument = match[2];
    words.push(`--${spec.name}${spec.arg === "none" ? "" : (argument ?? "")}`);
    // Whatever it looks like, it is the argument.
    const next = argv[index + 1];
    if (spec.arg === "required" && argument === undefined && next !== undefined) {
      words.push(next);
      index++;
    }
  }
  return words;
}

function split({ name, value }: GivenOption, known: ReadonlyMap<string, OptionSpec>): GivenOption[] {
  return value !== undefined && known.get(name)?.split === true ? value.split(",").map((part) => ({ name, value: part })) : [{ name, value }];
}

function* faults(specs: readonly OptionSpec[], options: GivenOptions, given: readonly GivenOption[]): Generator<string> {
  for (const spec of specs) {
    const { name, arg, type, list = false, split: splits = false, onlyWith, requiredUnless, refused } = spec;
    if (!options.has(name)) {
      if (requiredUnless !== undefined && !requiredUnless.some((other) => options.has(other))) yield `--${[name, ...requiredUnless].join(" or --")} is required`;
      continue;
    }
    if (refused !== undefined) yield `--${name}: ${refused}`;
    if (onlyWith !== undefined && !onlyWith.some((other) => options.has(other))) yield `--${name} can only be used with --${onlyWith.join(" or --")}`;
    if (arg !== "none" && !list && !splits && given.filter((option) => option.name === name).length > 1) yield `--${name} is given several times, and can have one argument only`;
    if (type === undefined) continue;
    const bad = options.all(name).find((value) => !isNumber(value, type));
    if (bad !== undefined) yield `--${name}: "${bad}" is no whole number ${type === "int" ? "of 32 bits" : "that is exact here"}`;
  }
}

function isNumber(text: string, type: "int" | "long"): boolean {
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) return false;
  return type === "long" || (value <= INT_MAX && value >= -INT_MAX - 1);
}

/** What is wrong where one of the others is given beside it; undefined: nothing. */
export function conflict(options: GivenOptions, name: string, others: readonly string[]): string | undefined {
  const other = options.has(name) ? others.find((one) => options.has(one)) : undefined;
  return other === undefined ? undefined : `--${other} can't be used with --${name}`;
}
