import { describe, expect, it } from 'vitest';
import { groupsOf, type HostDescription } from '../../hw/index.ts';
import { errorToJson, usageError } from '../../src/errors.ts';
import { builtInHost } from '../../src/hosts/builtin.ts';
import { outputSchemas } from '../../src/output-schemas.ts';
import { planHost } from '../../src/plan/fleet-host.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { viewOfDescription } from '../../src/plan/view.ts';

/** As a script gets it. */
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const server = builtInHost('server') as HostDescription;
const request = {
  assign: ['0000:00:14.0'],
  machine: 'g',
  memoryBytes: 2 ** 30,
  virtualIommu: false,
  acceptSiblings: [],
  roles: new Map(),
};

describe('what commands print fits the schema that ships', () => {
  it('groups', () => void outputSchemas.groups.parse(asJson(groupsOf(server))));
  it('plan', () =>
    void outputSchemas.plan.parse(
      asJson(makePlan(viewOfDescription(server), { ...request, assign: [server.functions[0].address] })),
    ));
  it('error', () => void outputSchemas.error.parse(asJson(errorToJson(usageError('no', 'yes')))));
  it('a line of a fleet that failed', () =>
    void outputSchemas.fleet.parse(asJson(planHost('/does/not/exist', request))));
  it('a plan without its blockers does not fit', () =>
    expect(outputSchemas.plan.safeParse({ ok: true }).success).toBe(false));
});
