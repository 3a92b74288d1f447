import { int16, int32, int64, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const initProducerIdRequest = message("InitProducerIdRequest", { versions: "0-5", flexible: "2+" }, {
  transactionalId: string("0+", { nullable: "0+" }),
  transactionTimeoutMs: int32("0+"),
  producerId: int64("3+", { default: -1 }),
  producerEpoch: int16("3+", { default: -1 }),
});

export const initProducerIdResponse = message("InitProducerIdResponse", { versions: "0-5", flexible: "2+" }, {
  throttleTimeMs: int32("0+", { default: 0 }),
  errorCode: int16("0+"),
  producerId: int64("0+", { default: -1 }),
  producerEpoch: int16("0+"),
});

export const initProducerId = api({ key: 22, name: "InitProducerId", request: initProducerIdRequest, response: initProducerIdResponse });
