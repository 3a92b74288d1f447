import { kafkaConfigs } from "./kafka/configs.ts";
import { runAdminScript } from "./kafka/admin-script.ts";

void runAdminScript(kafkaConfigs);
