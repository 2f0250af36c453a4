import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { IViolation } from '../model/form';
import {
  IConnectHelp,
  ILocation,
  ILogPage,
  IOperation,
  ISession,
  ISessionBody,
  ISessionKernel,
  ITemplate
} from '../model/session';

export const EVERYWHERE = 'projects/-/locations/-';

/** A location that did not answer a list, and why as far as that is known. */
export interface ISilent {
  name: string;
  status: string;
  message: string;
}

/** A whole list, and the locations that did not answer it: their rows, if any, are those last known. */
export interface IListing<T> {
  rows: T[];
  unreachable: ISilent[];
}

/** A refusal of the service, with the faulty fields it names. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: number,
    readonly status: string,
    readonly violations: readonly IViolation[]
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

interface IErrorBody {
  error?: {
    message?: string;
    status?: string;
    details?: { fieldViolations?: IViolation[] }[];
  };
}

/** The base of every address of the service. */
export function serviceUrl(settings: ServerConnection.ISettings, ...parts: string[]): string {
  return URLExt.join(settings.baseUrl, 'jupyter-sessions', 'v1', ...parts);
}

/** An id for a request, the same over its retries, so that the service acts once. */
export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
}

/** The service's REST methods, as far as the browser needs them. Each rejects with ApiError or NetworkError. */
export class SessionsRest {
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** Every session of a location, or of all; pages are followed to the end. */
  async listSessions(parent = EVERYWHERE): Promise<IListing<ISession>> {
    return this._pages<ISession>(`${parent}/sessions`, 'sessions');
  }

  async listTemplates(parent = EVERYWHERE): Promise<IListing<ITemplate>> {
    return this._pages<ITemplate>(`${parent}/sessionTemplates`, 'sessionTemplates');
  }

  async listLocations(): Promise<ILocation[]> {
    const page = await this._call<{ locations?: ILocation[] }>('GET', 'projects/-/locations');
    return page.locations ?? [];
  }

  /** How a location is connected to the server: the file that names it, and what may stand there. */
  async connectHelp(): Promise<IConnectHelp> {
    return this._call<IConnectHelp>('GET', 'connect');
  }

  async getSession(name: string): Promise<ISession> {
    return this._call<ISession>('GET', name);
  }

  async create(
    parent: string,
    id: string,
    body: ISessionBody,
    requestId: string
  ): Promise<IOperation> {
    const query = new URLSearchParams({ sessionId: id, requestId });
    return this._call<IOperation>('POST', `${parent}/sessions?${query}`, body);
  }

  /** Change only what `mask` names. */
  async update(name: string, body: ISessionBody, mask: readonly string[]): Promise<ISession> {
    const query = new URLSearchParams({ updateMask: mask.join(',') });
    return this._call<ISession>('PATCH', `${name}?${query}`, body);
  }

  async terminate(name: string, requestId: string): Promise<IOperation> {
    return this._call<IOperation>('POST', `${name}:terminate`, { requestId });
  }

  async remove(name: string, requestId: string): Promise<IOperation> {
    const query = new URLSearchParams({ requestId });
    return this._call<IOperation>('DELETE', `${name}?${query}`);
  }

  async listKernels(name: string): Promise<ISessionKernel[]> {
    const answer = await this._call<{ kernels?: ISessionKernel[] }>('GET', `${name}/kernels`);
    return answer.kernels ?? [];
  }

  /** Up to `limit` bytes of log from `offset`; a negative offset counts from the end. */
  async readLog(name: string, offset: number, limit: number): Promise<ILogPage> {
    return this._call<ILogPage>('GET', `${name}/logs?offset=${offset}&limit=${limit}`);
  }

  private async _pages<T>(path: string, member: string): Promise<IListing<T>> {
    const rows: T[] = [];
    const unreachable = new Set<string>();
    let token = '';
    do {
      const query = new URLSearchParams({
        pageSize: '1000',
        ...(token ? { pageToken: token } : {})
      });
      const page = await this._call<Record<string, unknown>>('GET', `${path}?${query}`);
      rows.push(...((page[member] as T[] | undefined) ?? []));
      ((page.unreachable as string[] | undefined) ?? []).forEach(name => unreachable.add(name));
      token = (page.nextPageToken as string | undefined) ?? '';
    } while (token);
    const silent = [...unreachable].map(name => ({ name, status: 'UNAVAILABLE', message: '' }));
    return { rows, unreachable: silent };
  }

  private async _call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const init: RequestInit = { method };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { 'Content-Type': 'application/json' };
    }
    const url = serviceUrl(this.settings, path);
    const response = await ServerConnection.makeRequest(url, init, this.settings);
    if (!response.ok) {
      throw await failureOf(response);
    }
    return (await response.json()) as T;
  }
}

/**
 * List over all locations at once; where that is refused because of one, each by itself, so that one's fault hides no
 * other's rows.
 *
 * @param list - lists one location, or all
 * @param places - gives the names of the locations
 */
export async function listEverywhere<T>(
  list: (parent?: string) => Promise<IListing<T>>,
  places: () => Promise<string[]>
): Promise<IListing<T>> {
  try {
    return await list();
  } catch (error) {
    const names = error instanceof ApiError ? await places() : [];
    if (names.length < 2) {
      throw error;
    }
    const parts = await Promise.all(names.map(name => list(name).catch(why => silent(name, why))));
    if (parts.every(part => part.unreachable.length)) {
      throw error;
    }
    return {
      rows: parts.flatMap(part => part.rows),
      unreachable: parts.flatMap(part => part.unreachable)
    };
  }
}

/** An operation that was not refused; throws ApiError where it ended in an error at once. */
export function accepted(operation: IOperation): IOperation {
  const { error } = operation;
  if (error) {
    throw new ApiError(error.message, error.code, '', []);
  }
  return operation;
}

function silent(name: string, why: unknown): IListing<never> {
  const status = why instanceof ApiError ? why.status : '';
  const message = why instanceof Error ? why.message : String(why);
  return { rows: [], unreachable: [{ name, status: status || 'UNAVAILABLE', message }] };
}

async function failureOf(response: Response): Promise<ApiError> {
  let body: IErrorBody = {};
  try {
    body = (await response.json()) as IErrorBody;
  } catch {
    // A proxy's page: the HTTP status is all there is to say.
  }
  const error = body.error ?? {};
  const violations = (error.details ?? []).flatMap(detail => detail.fieldViolations ?? []);
  const message = error.message || `The server answered ${response.status} ${response.statusText}`;
  return new ApiError(message, response.status, error.status ?? '', violations);
}
