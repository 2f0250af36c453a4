import { LabIcon } from '@jupyterlab/ui-components';

/** A dot on a line: a moment of a session on its way through time. */
export const sessionsIcon = new LabIcon({
  name: 'jupyter-sessions:sessions',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <rect x="1" y="11" width="22" height="2" rx="1"/>
    <circle cx="14" cy="12" r="5"/>
  </g>
</svg>`
});
