/** The ids of the extension's commands; those of one session take its resource name as argument `name`. */
export const CommandIDs = {
  create: 'jupyter-sessions:create',
  connect: 'jupyter-sessions:connect-location',
  refresh: 'jupyter-sessions:refresh',
  showPanel: 'jupyter-sessions:show-panel',
  showRow: 'jupyter-sessions:show-row',
  showDetail: 'jupyter-sessions:show-detail',
  openNotebook: 'jupyter-sessions:open-notebook',
  openConsole: 'jupyter-sessions:open-console',
  extend: 'jupyter-sessions:extend',
  terminate: 'jupyter-sessions:terminate',
  remove: 'jupyter-sessions:delete'
} as const;
