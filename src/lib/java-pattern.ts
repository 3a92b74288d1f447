import { OperationalError, toError } from "./error.ts";

/** What java.util.regex knows and RegExp lacks, or understands otherwise: quoting, POSIX and Unicode classes, anchors, possessive quantifiers, intersections of classes. */
const JAVA_ONLY = /\\(?:[QEpPAzZGhHRXaex]|0)|[*+?}]\+|&&|\(\?(?![:=!]|<)|(?<!\\)\[(?:\\.|[^\]\\])*\[/;

/**
 * A regular expression of Java's as one of JavaScript's, for those that mean the same in both. Throws ERR_USAGE, naming
 * `option`, for others.
 */
export function javaPattern(text: string, option: string): RegExp {
  const foreign = JAVA_ONLY.exec(text);
  if (foreign !== null) throw new OperationalError("ERR_USAGE", `${option} ${text}: "${foreign[0]}" means something in Java's regular expressions only, and is not supported`);
  try {
    return new RegExp(text);
  } catch (error) {
    throw new OperationalError("ERR_USAGE", `${option}: ${toError(error).message}`, { cause: error });
  }
}
