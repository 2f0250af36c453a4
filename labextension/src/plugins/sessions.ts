import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';

import { SessionsRest } from '../api/rest';
import { WatchStream } from '../api/stream';
import { hasKernels } from '../model/session';
import { KernelLinks } from '../state/kernels';
import { SessionStore } from '../state/store';
import { IKernelLinks, IRuntimeSessions } from '../state/tokens';

/** Provides the sessions of every location. */
export const sessionsPlugin: JupyterFrontEndPlugin<IRuntimeSessions> = {
  id: 'jupyter-sessions:sessions',
  description: 'Lists the interactive sessions and follows their changes.',
  autoStart: true,
  provides: IRuntimeSessions,
  activate: (app: JupyterFrontEnd) => {
    const { serverSettings } = app.serviceManager;
    return new SessionStore(
      new SessionsRest(serverSettings),
      query => new WatchStream(serverSettings, query)
    );
  }
};

/** Provides the link between kernels and sessions, and keeps launcher and kernel picker current. */
export const kernelsPlugin: JupyterFrontEndPlugin<IKernelLinks> = {
  id: 'jupyter-sessions:kernels',
  description: 'Links kernels to sessions; lets launcher and kernel picker follow the sessions.',
  autoStart: true,
  requires: [IRuntimeSessions],
  provides: IKernelLinks,
  activate: (app: JupyterFrontEnd, store: IRuntimeSessions) => {
    const { kernelspecs, kernels, sessions } = app.serviceManager;
    const links = new KernelLinks(kernelspecs, kernels, sessions);
    store.transition.connect((_, { session, oldState }) => {
      // Only an ACTIVE session offers kernelspecs.
      const known = links.offered(session.name).length > 0;
      if (!hasKernels(session)) {
        return;
      }
      if ((session.state === 'ACTIVE') !== known || oldState === 'ACTIVE') {
        const asked =
          session.state === 'ACTIVE' ? links.awaitOffers(session.name) : links.refresh();
        asked.catch(error => console.warn('The kernelspecs could not be listed', error));
      }
    });
    return links;
  }
};
