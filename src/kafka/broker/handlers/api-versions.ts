import { ErrorCode } from "../../protocol/error-codes.ts";
import { apiVersions } from "../../protocol/messages/api-versions.ts";
import { route, type Route } from "../../network/request.ts";

/**
 * ApiVersions, 0 to 3: what is served, and nothing else. A version that is not known is answered in version 0 with the
 * one entry that lets the client try again. No features exist (2.7.1 has none either), so none are listed.
 * Source: KafkaApis.handleApiVersionsRequest, ApiVersionsRequest.getErrorResponse, KIP-511.
 */
export function apiVersionsRoute(served: () => readonly Route[]): Route {
  return route(apiVersions, (request, context) => {
    const { versions } = apiVersions.request;
    if (context.apiVersion > versions.last) {
      return { errorCode: ErrorCode.UNSUPPORTED_VERSION, apiKeys: [{ apiKey: apiVersions.key, minVersion: versions.first, maxVersion: versions.last }] };
    }
    if (context.apiVersion >= 3 && !(SOFTWARE.test(request.clientSoftwareName) && SOFTWARE.test(request.clientSoftwareVersion))) {
      return { errorCode: ErrorCode.INVALID_REQUEST, apiKeys: [] };
    }
    const apiKeys = served().map(({ api, versions: range }) => ({ apiKey: api.key, minVersion: range.first, maxVersion: range.last }));
    return { errorCode: ErrorCode.NONE, apiKeys: apiKeys.toSorted((a, b) => a.apiKey - b.apiKey) };
  });
}

const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;
