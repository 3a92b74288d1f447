import { kafkaConsumerGroups } from "./kafka/consumer-groups.ts";
import { runAdminScript } from "./kafka/admin-script.ts";

void runAdminScript(kafkaConsumerGroups);
