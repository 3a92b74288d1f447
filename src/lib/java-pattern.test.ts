import { expect, test } from "vitest";
import { javaPattern } from "./java-pattern.ts";

test("what means the same in both is taken as it is", () => {
  expect(javaPattern("a.*|b\\-c|[d-f]{2,3}?|(?:g)(?<name>h)|i(?!j)(?<=i)|\\d\\w\\.|\\[a[b]", "--include").source).toBe("a.*|b\\-c|[d-f]{2,3}?|(?:g)(?<name>h)|i(?!j)(?<=i)|\\d\\w\\.|\\[a[b]");
});

test.each(["\\Qa.b\\E", "\\p{Alpha}", "a++", "a*+", "a?+", "a{2}+", "[a-z&&[^b]]", "[a[bc]]", "(?i)a", "(?>a)", "a\\z"])("%s is wrong usage: only Java knows it", (java) => {
  expect(() => javaPattern(java, "--include")).toThrow(/^--include .*Java/);
});

test.each(["(", "*", "[a"])("%s is wrong usage", (broken) => {
  expect(() => javaPattern(broken, "--include")).toThrow(/^--include: Invalid regular expression/);
});
