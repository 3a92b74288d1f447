import { consoleProducer } from "./kafka/console-producer.ts";
import { runTool } from "./tool-process.ts";

void runTool(consoleProducer);
