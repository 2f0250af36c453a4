import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  bodyOf,
  emptyDraft,
  faultsOf,
  firstPlace,
  IDraft,
  limitFaults,
  moved,
  ownFaults,
  remaining,
  suggestId,
  templated
} from '../src/model/form';
import { PARENT } from './sessions';

const LONGEST = { ttl: 14 * 86400, idleTtl: 14 * 86400 };

function draft(more: Partial<IDraft>): IDraft {
  return { ...emptyDraft(PARENT, []), ...more };
}

test('the suggested id is free and fits the rule', () => {
  assert.equal(suggestId([]), 'session-1');
  assert.equal(suggestId(['session-1', 'session-2']), 'session-3');
  assert.equal(suggestId([], 'ada'), 'ada-1');
  assert.equal(suggestId([], 'Ada Lovelace'), 'session-1');
});

test('an empty form asks for a Python session and nothing else', () => {
  assert.deepEqual(bodyOf(draft({})), { jupyterSession: { kernel: 'PYTHON' } });
});

test('a full form', () => {
  const body = bodyOf(
    draft({
      displayName: 'Nightly',
      kernel: '',
      template: `${PARENT}/sessionTemplates/t`,
      labels: [
        { key: 'env', value: 'prod' },
        { key: '', value: '' }
      ],
      properties: [{ key: 'local:memory', value: '4G' }],
      ttl: '2 d',
      idleTtl: '1.1 h'
    })
  );
  assert.deepEqual(body, {
    jupyterSession: { displayName: 'Nightly' },
    sessionTemplate: `${PARENT}/sessionTemplates/t`,
    labels: { env: 'prod' },
    runtimeConfig: { properties: { 'local:memory': '4G' } },
    environmentConfig: { executionConfig: { ttl: '172800s', idleTtl: '3960s' } }
  });
});

test('each fault stands beside its field', () => {
  const typed = draft({
    ttl: '2 h',
    idleTtl: '1 h',
    labels: [
      { key: 'env', value: 'x' },
      { key: 'Team', value: 'y' }
    ],
    properties: [{ key: 'local:env.A.B', value: '1' }]
  });
  const fields: [string, string][] = [
    ['sessionId', 'id'],
    ['name', 'id'],
    ['jupyterSession.displayName', 'displayName'],
    ['jupyterSession.kernel', 'kernel'],
    ['sessionTemplate', 'template'],
    ['environmentConfig.executionConfig.ttl', 'ttl'],
    ['session.environmentConfig.executionConfig.idleTtl', 'idleTtl'],
    ['labels.Team', 'labels.1'],
    ['labels', 'labels'],
    ['labels.unknown', 'labels'],
    ['runtimeConfig.properties.local:env.A.B', 'properties.0'],
    ['runtimeConfig.properties["local:env.A.B"]', 'properties.0'],
    ['runtimeConfig.version', 'form'],
    ['', 'form']
  ];
  for (const [field, place] of fields) {
    assert.deepEqual(
      faultsOf([{ field, description: 'no' }], typed, LONGEST),
      { [place]: ['no'] },
      field
    );
  }
});

test('several faults of one field are all shown', () => {
  const both = [
    { field: 'labels.env', description: 'first' },
    { field: 'labels.env', description: 'second' }
  ];
  const faults = faultsOf(both, draft({ labels: [{ key: 'env', value: '' }] }), LONGEST);
  assert.deepEqual(faults, { 'labels.0': ['first', 'second'] });
});

test('what only the form can see', () => {
  const faults = ownFaults(
    draft({
      labels: [
        { key: 'env', value: '1' },
        { key: 'env', value: '2' }
      ],
      properties: [{ key: '', value: '4G' }]
    })
  );
  assert.deepEqual(Object.keys(faults), ['labels.1', 'properties.0']);
  assert.deepEqual(ownFaults(draft({})), {});
});

test('a Spark Connect session has no kernel and no card', () => {
  assert.deepEqual(bodyOf(draft({ kernel: 'SPARK_CONNECT', displayName: 'x' })), {
    sparkConnectSession: {}
  });
});

test('a limit’s fault is told in the words of who types', () => {
  const wire = 'must be from 600s (10 minutes) to 1209600s (14 days)';
  const field = 'environmentConfig.executionConfig.ttl';
  const faults = faultsOf([{ field, description: wire }], draft({ ttl: '5 min' }), LONGEST);
  assert.deepEqual(faults, { ttl: ['At least 10 min.'] });
});

test('a form goes to another location without what that one does not offer', () => {
  const typed = draft({ kernel: 'SCALA', template: `${PARENT}/sessionTemplates/t` });
  assert.deepEqual(moved(typed, 'projects/a/locations/b', ['PYTHON']), {
    parent: 'projects/a/locations/b',
    template: '',
    kernel: 'PYTHON'
  });
  assert.equal(moved(typed, 'projects/a/locations/b', ['PYTHON', 'SCALA']).kernel, 'SCALA');
  assert.deepEqual(moved(typed, PARENT, ['PYTHON']), {});
});

test('the location used last comes first, else this machine, else the first that answers', () => {
  const eu = 'projects/a/locations/eu';
  assert.equal(firstPlace([PARENT, eu], eu), eu);
  assert.equal(firstPlace([eu, PARENT], 'projects/gone/locations/x'), PARENT);
  assert.equal(firstPlace([eu], ''), eu);
  assert.equal(firstPlace([], ''), PARENT);
});

test('the form finds a wrong limit itself, in words', () => {
  const longest = { ttl: 86400, idleTtl: 7200 };
  const typed = (ttl: string, idleTtl: string) => limitFaults(draft({ ttl, idleTtl }), longest);
  assert.deepEqual(typed('24 h', ' '), {});
  assert.deepEqual(typed('8', '3 h'), {
    ttl: ['Write a number and a unit, such as 30 min, 8 h or 2 d.'],
    idleTtl: ['At most 2 h in this location.']
  });
  assert.deepEqual(typed('5 min', ''), { ttl: ['At least 10 min.'] });
});

test('without a template the kernel is one that the location offers', () => {
  const there = draft({ template: 't', kernel: '' });
  assert.deepEqual(templated(there, '', ['SPARK_CONNECT']), {
    template: '',
    kernel: 'SPARK_CONNECT'
  });
  assert.equal(templated(draft({ kernel: 'SCALA' }), '', ['PYTHON', 'SCALA']).kernel, 'SCALA');
  assert.equal(templated(draft({}), 't', ['PYTHON']).kernel, '');
});

test('a fault goes when its field changes, and moves with its row', () => {
  const rows = ['a', 'b', 'c'].map(key => ({ key, value: '' }));
  const typed = draft({ labels: rows });
  const faults = { id: ['x'], ttl: ['y'], 'labels.0': ['of a'], 'labels.2': ['of c'] };
  assert.deepEqual(remaining(faults, typed, { id: 'new' }), {
    ttl: ['y'],
    'labels.0': ['of a'],
    'labels.2': ['of c']
  });
  const without = remaining(faults, typed, { labels: rows.slice(1) });
  assert.deepEqual(without, { id: ['x'], ttl: ['y'], 'labels.1': ['of c'] });
  const edited = [{ key: 'A', value: '' }, ...rows.slice(1)];
  assert.equal('labels.0' in remaining(faults, typed, { labels: edited }), false);
});

test('what the service says twice of one field is shown once', () => {
  const twice = { field: 'labels.env', description: 'no' };
  const typed = draft({ labels: [{ key: 'env', value: '' }] });
  assert.deepEqual(faultsOf([twice, twice], typed, LONGEST), { 'labels.0': ['no'] });
});
