import type { AdminIo } from "../../src/cli/admin-session.ts";
import type { Host } from "../../src/host/host.ts";

/** What a command has printed, as bytes would have come. */
export class PrintedIo implements AdminIo {
  readonly host: Host;
  stdout = "";
  stderr = "";
  readonly out = (line: string): void => {
    this.stdout += `${line}\n`;
  };
  readonly err = (line: string): void => {
    this.stderr += `${line}\n`;
  };

  constructor(host: Host) {
    this.host = host;
  }
}
