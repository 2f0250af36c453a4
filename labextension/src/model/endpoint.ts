/** How an address that a session names is shown. */
export interface IEndpoint {
  text: string;
  /** Where a click leads; only for http and https. */
  href?: string;
}

/**
 * Read an address that came from a session's location: it is data, whatever it says.
 *
 * Only an http or https URL becomes a link, and none that carries a user's name or password. A socket on the server's
 * machine is shown as its path.
 */
export function endpointOf(uri: string): IEndpoint {
  const socket = /^(?:http\+unix:\/\/|unix:)([^/]*\/?.*)$/.exec(uri);
  if (socket) {
    return { text: `socket ${decoded(socket[1]).replace(/(.)\/$/, '$1')} on the server’s machine` };
  }
  let url: URL;
  try {
    url = new URL(uri);
  } catch {
    return { text: uri };
  }
  if (url.username || url.password) {
    return { text: uri.replace(/^([^:]+:\/\/)[^/?#]*@/, '$1…@') };
  }
  return url.protocol === 'http:' || url.protocol === 'https:'
    ? { text: uri, href: url.href }
    : { text: uri };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
