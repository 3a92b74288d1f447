import { kafkaTopics } from "./kafka/topics.ts";
import { runAdminScript } from "./kafka/admin-script.ts";

void runAdminScript(kafkaTopics);
