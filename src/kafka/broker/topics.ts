export { isInternalTopic } from "../protocol/internal-topics.ts";
