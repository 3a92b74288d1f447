import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { must } from "../../src/lib/assert.ts";

const README = readFileSync(resolve(import.meta.dirname, "../../README.md"), "utf8");

/** The first block in this language under this heading of README.md that holds `word`: what the tests run is what a reader copies. */
export function readmeBlock(heading: string, language: string, word = ""): string {
  const section = must(README.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)), `README.md's section "${heading}"`);
  const blocks = Array.from(section.matchAll(/^```(\w+)\n(.*?)^```$/gms), ([, of, text = ""]) => ({ of, text }));
  return must(blocks.find(({ of, text }) => of === language && text.includes(word)), `a block in ${language} with "${word}" under "${heading}" in README.md`).text;
}

/** The same text for a cluster elsewhere: README.md has the brokers at 9092 and what follows. */
export function forBrokers(text: string, kafka: readonly string[]): string {
  return text.replaceAll(/localhost:909([234])/g, (_found, digit: string) => must(kafka[Number(digit) - 2], "broker"));
}
