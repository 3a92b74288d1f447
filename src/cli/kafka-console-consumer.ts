import { consoleConsumer } from "./kafka/console-consumer.ts";
import { runTool } from "./tool-process.ts";

void runTool(consoleConsumer);
