import type { Contestant } from "./contestants/contestant.ts";
import type { Topology } from "./settings.ts";
import type { Better } from "./statistics.ts";

/** What a run of a case measured, by figure. */
export type Measured = Readonly<Record<string, number>>;

/** A row of the table. */
export interface Figure {
  /** Of what `run` gives, or of what the harness adds (below). */
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  readonly better: Better;
  /** What ours ÷ theirs must reach; none: for information. */
  readonly reach?: number;
  /** Against what, where it is not Apache 2.7.1: a reference of the case. */
  readonly against?: string;
  /** False: not a core row, shown all the same where the case runs. */
  readonly core?: boolean;
}

/**
 * Runs what is to be measured and adds to what it gives: `memory` (the highest meanwhile, MB of all processes) and, where
 * it gives `bytes`, `cpu` (CPU seconds of all processes for each 10^9 of them).
 */
export type Meter = (driven: () => Promise<Measured>) => Promise<Measured>;

/** What one round takes a contestant through. */
export interface Case {
  readonly id: string;
  readonly title: string;
  /** `none`: it starts its own clusters, and nothing else runs meanwhile. */
  readonly topology: Topology | "none";
  readonly core: boolean;
  /** The newest Kafka takes part in a core run too. */
  readonly kraft?: boolean;
  readonly rounds: number;
  /** Rounds before the first that counts. */
  readonly warmups: number;
  readonly figures: readonly Figure[];
  /** Before the first warm-up and after the last round. */
  readonly prepare?: (contestant: Contestant) => Promise<void>;
  readonly clean?: (contestant: Contestant) => Promise<void>;
  readonly run: (contestant: Contestant, meter: Meter) => Promise<Measured>;
  /** What is run beside the contestants in each round; `value` is what figures' `against` is compared with. */
  readonly references?: Readonly<Record<string, () => Promise<number>>>;
  /** Made of a round's references: the mark that is whichever is less, for one. */
  readonly marks?: Readonly<Record<string, (references: Measured) => number>>;
}
