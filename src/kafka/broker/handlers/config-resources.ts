import { ErrorCode } from "../../protocol/error-codes.ts";

/** What a request about settings names. Source: clients/…/common/config/ConfigResource.java. */
export const ResourceType = { topic: 2, broker: 4, brokerLogger: 8 } as const;

export interface ResourceName {
  readonly resourceType: number;
  readonly resourceName: string;
}

export interface ResourceProblem {
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
}

export function badResource(errorMessage: string): ResourceProblem {
  return { errorCode: ErrorCode.INVALID_REQUEST, errorMessage };
}

/** Why a whole request can't be carried out: it names something other than `allowed`. */
export function strangeResource(resources: readonly ResourceName[], allowed: readonly number[]): ResourceProblem | undefined {
  const stranger = resources.find(({ resourceType }) => !allowed.includes(resourceType));
  return stranger === undefined ? undefined : badResource(`resources of type ${stranger.resourceType} have no settings here`);
}

/** A broker's settings are that broker's to tell and to change. Source: AdminManager.getBrokerId, resourceNameToBrokerId. */
export function notThisBroker(name: string, brokerId: number): ResourceProblem | undefined {
  if (!/^[+-]?\d+$/.test(name)) return badResource(`"${name}" is no broker id`);
  return Number(name) === brokerId ? undefined : badResource(`this is broker ${brokerId}: ask broker ${name} itself`);
}

/** The last of those that name the same. */
export function uniqueResources<R extends ResourceName>(resources: readonly R[]): readonly R[] {
  return [...new Map(resources.map((resource) => [`${resource.resourceType} ${resource.resourceName}`, resource])).values()];
}
