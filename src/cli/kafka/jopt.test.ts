import { expect, test } from "vitest";
import { conflict, parseArguments, type GivenOptions, type OptionSpec, type ParsedArguments } from "./jopt.ts";

const specs: readonly OptionSpec[] = [
  { name: "topic", arg: "required", help: "The topic." },
  { name: "list", arg: "none", help: "List." },
  { name: "describe", arg: "none", help: "Describe." },
  { name: "partitions", arg: "required", type: "int", help: "How many." },
  { name: "to-offset", arg: "required", type: "long", help: "Where." },
  { name: "compression-codec", arg: "optional", help: "How." },
  { name: "config", arg: "required", list: true, help: "A setting." },
  { name: "delete-config", arg: "required", split: true, help: "Settings." },
  { name: "members", arg: "none", onlyWith: ["describe"], help: "Members." },
  { name: "state", arg: "optional", onlyWith: ["describe", "list"], split: true, help: "States." },
  { name: "producer.config", arg: "required", help: "A file." },
  { name: "socket-buffer-size", arg: "required", type: "int", ignored: true, help: "Bytes." },
  { name: "force", arg: "none", ignored: "silently", help: "Nothing." },
  { name: "zk-tls", arg: "required", refused: "there is no TLS to ZooKeeper", help: "A file." },
];

const parse = (...argv: string[]): ParsedArguments => parseArguments("kafka-topics.sh", specs, argv);

function optionsOf(...argv: string[]): GivenOptions {
  const parsed = parse(...argv);
  if (parsed.kind !== "options") throw new Error(`${argv.join(" ")}: ${JSON.stringify(parsed)}`);
  return parsed.options;
}

function wrong(...argv: string[]): string {
  const parsed = parse(...argv);
  return parsed.kind === "wrong" ? parsed.message : parsed.kind;
}

test("an argument comes behind a blank or an equals sign, which may stand in it too, and may be empty", () => {
  expect([optionsOf("--topic", "v").one("topic"), optionsOf("--topic=v").one("topic"), optionsOf("--topic=a=b").one("topic"), optionsOf("--topic=").one("topic"), optionsOf("--topic", "").one("topic")]).toEqual(["v", "v", "a=b", "", ""]);
});

test("whatever follows an option with an argument is the argument", () => {
  const options = optionsOf("--topic", "--list", "--partitions", "-1", "--producer.config", "-topic");
  expect([options.one("topic"), options.number("partitions"), options.has("list"), options.one("producer.config")]).toEqual(["--list", -1, false, "-topic"]);
});

test("an optional argument is the next word where that is no option", () => {
  const codec = (...argv: string[]) => [optionsOf(...argv).has("compression-codec"), optionsOf(...argv).one("compression-codec")];
  expect([codec("--compression-codec"), codec("--compression-codec", "lz4"), codec("--compression-codec=lz4"), codec("--compression-codec", "--list"), codec("--list")]).toEqual([[true, undefined], [true, "lz4"], [true, "lz4"], [true, undefined], [false, undefined]]);
  expect(optionsOf("--list", "--state=a,b").all("state")).toEqual(["a", "b"]);
});

test("long names with one dash, and arguments of flags, are taken as jopt-simple takes them", () => {
  const options = optionsOf("-topic", "q", "-list", "--describe=3", "-partitions=4");
  expect([options.one("topic"), options.has("list"), options.has("describe"), options.number("partitions")]).toEqual(["q", true, true, 4]);
  expect(optionsOf("--producer.config", "f").one("producer.config")).toBe("f");
});

test("what may be repeated is a list; of the rest, two are too many; flags don't count", () => {
  expect(optionsOf("--config", "a=1", "--config", "b=2").all("config")).toEqual(["a=1", "b=2"]);
  expect(optionsOf("--delete-config", "a,b", "--delete-config", "c").all("delete-config")).toEqual(["a", "b", "c"]);
  expect(wrong("--topic", "a", "--topic", "b")).toContain("--topic");
  expect(optionsOf("--list", "--list").has("list")).toBe(true);
});

test("options keep the order of the command line", () => {
  expect(optionsOf("--config", "a", "--list", "--config", "b").inOrder).toEqual([{ name: "config", value: "a" }, { name: "list", value: undefined }, { name: "config", value: "b" }]);
});

test("numbers are checked, in both sizes", () => {
  for (const value of ["x", "", "2147483648", "1.5", "1e3"]) expect([value, wrong("--partitions", value)]).toEqual([value, expect.stringContaining("--partitions")]);
  expect([wrong("--partitions=2147483647"), wrong("--to-offset=2147483648"), wrong("--to-offset", "9007199254740992")]).toEqual(["options", "options", expect.stringContaining("--to-offset")]);
});

test("unknown options and missing arguments are wrong; names can't be cut short", () => {
  expect([wrong("--topi", "x"), wrong("--bogus"), wrong("--topic")]).toEqual([expect.stringContaining("--topi"), expect.stringContaining("--bogus"), expect.stringContaining("--topic")]);
});

test("options that need others, that are required, that have no effect, and that are refused", () => {
  expect([wrong("--members"), wrong("--members", "--describe"), wrong("--state"), wrong("--state", "--list")]).toEqual([expect.stringContaining("--describe"), "options", expect.stringContaining("--describe or --list"), "options"]);
  const required: readonly OptionSpec[] = [{ name: "bootstrap-server", arg: "required", requiredUnless: ["broker-list"], help: "" }, { name: "broker-list", arg: "required", help: "" }];
  const kinds = (...argv: string[]) => parseArguments("t", required, argv).kind;
  expect([kinds(), kinds("--broker-list", "a:1"), kinds("--bootstrap-server", "a:1")]).toEqual(["wrong", "options", "options"]);
  expect(wrong("--zk-tls", "f")).toBe("--zk-tls: there is no TLS to ZooKeeper");
  expect(parse("--force", "--socket-buffer-size", "5", "a", "--", "--b")).toMatchObject({ notices: ["--socket-buffer-size has no effect here", "ignored: a --b"] });
});

test("help and the version win over what is missing, not over what is unknown", () => {
  const help = parse("--members", "--help");
  expect(help.kind === "help" && help.text).toContain("--compression-codec [value]");
  expect([parse("--members", "--version").kind, parse("--help", "--bogus").kind]).toEqual(["version", "wrong"]);
});

test("two options that exclude each other", () => {
  const options = optionsOf("--list", "--partitions", "3");
  expect([conflict(options, "list", ["topic", "partitions"]), conflict(options, "list", ["topic"]), conflict(options, "describe", ["partitions"])]).toEqual(["--partitions can't be used with --list", undefined, undefined]);
});
