import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** Of the package whose file this is, wherever in it, also when it has been built to dist/. */
export const packageRoot = ((): string => {
  let directory = import.meta.dirname;
  while (!existsSync(join(directory, "package.json"))) directory = dirname(directory);
  return directory;
})();
