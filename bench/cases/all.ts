import type { Case } from "../case.ts";
import { consumeCases } from "./consume.ts";
import { produceCases } from "./produce.ts";
import { startCase } from "./start.ts";

/** In the order in which they run: a topology's cases together. */
export const allCases: readonly Case[] = [startCase, ...produceCases, ...consumeCases];
