/** A plan as text for a terminal, and as Markdown for a change ticket. */
import type { LockedOut, Plan } from './plan.ts';
import type { Recheck } from './recheck.ts';
import type { Rehearsal } from './rehearse.ts';

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

export function planText(plan: Plan, assigned: readonly string[]): string {
  const lines = [
    `${assigned.join(', ')}: ${plan.ok ? 'can be assigned' : 'can not be assigned as things are'}`,
  ];
  const section = (title: string, items: readonly string[]): void => {
    if (items.length > 0) lines.push('', title, ...items.map((item) => `  ${item}`));
  };
  section(
    'Groups taken',
    plan.groups.map((id) => `group ${id}`),
  );
  section('Locked out with it', plan.lockedOut.flatMap(lockedOutLines));
  section('Stays with the host', plan.stays);
  section(
    'In the way',
    plan.blockers.flatMap((item) => [`${item.rule}: ${item.detail}`, `  → ${item.remedy}`]),
  );
  section(
    'To know',
    plan.warnings.flatMap((item) => [`${item.rule}: ${item.detail}`, `  → ${item.remedy}`]),
  );
  section(
    'What its DMA can reach',
    plan.reach.map(
      (item) =>
        `${item.device}: ${item.memory}${item.peers.length === 0 ? '' : `; past the IOMMU ${item.peers.join(', ')}`}`,
    ),
  );
  section('Needs', needsLines(plan));
  section('Advice', plan.advice);
  section('Commands', plan.commands);
  section('Undo', plan.undo);
  return lines.join('\n');
}

/** The sibling with what it does, and below it what binds it to the group. */
function lockedOutLines(item: LockedOut): string[] {
  const role = item.role === null ? '' : `  ${item.certainty === 'possible' ? 'perhaps ' : ''}${item.role}`;
  const first = `${item.device}  ${item.driver ?? 'no driver'}${role}${item.accepted ? '  (accepted)' : ''}`;
  return item.grouping === null ? [first] : [first, `  ${item.grouping}`];
}

function needsLines(plan: Plan): string[] {
  const { needs } = plan;
  return [
    `locked memory ${gibibytes(needs.lockedMemoryBytes)}`,
    `or huge pages: ${needs.hugePages['2M']} of 2 MiB, ${needs.hugePages['1G']} of 1 GiB`,
    ...(needs.iovaBits === null ? [] : [`I/O addresses of ${needs.iovaBits} bits`]),
    ...needs.reserved.map((region) => `a hole at ${region.start}-${region.end} (${region.type})`),
  ];
}

/** A cell of a Markdown table: bars and line feeds would end it. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replace(/[\r\n]+/g, ' ');

/** The plan for a change ticket. */
export function planMarkdown(plan: Plan, host: string, assigned: readonly string[]): string {
  const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
    [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');
  const parts = [
    `# Device assignment on ${cell(host)}`,
    `Assigned: ${assigned.map((name) => `\`${name}\``).join(', ')}. **${plan.ok ? 'Possible.' : 'Not possible as things are.'}**`,
    plan.lockedOut.length === 0
      ? 'Nothing else is locked out.'
      : `## Locked out\n\n${table(
          ['device', 'driver', 'role', 'accepted'],
          plan.lockedOut.map((item) => [
            item.device,
            item.driver ?? 'none',
            item.role === null ? '' : `${item.certainty === 'possible' ? 'perhaps ' : ''}${item.role}`,
            item.accepted ? 'yes' : 'no',
          ]),
        )}`,
    plan.blockers.length === 0
      ? ''
      : `## In the way\n\n${table(
          ['rule', 'what', 'remedy'],
          plan.blockers.map((item) => [item.rule, item.detail, item.remedy]),
        )}`,
    plan.warnings.length === 0
      ? ''
      : `## To know\n\n${table(
          ['rule', 'what', 'remedy'],
          plan.warnings.map((item) => [item.rule, item.detail, item.remedy]),
        )}`,
    `## Needs\n\n${needsLines(plan)
      .map((line) => `- ${line}`)
      .join('\n')}`,
    plan.commands.length === 0 ? '' : `## Commands\n\n\`\`\`sh\n${plan.commands.join('\n')}\n\`\`\``,
    plan.undo.length === 0 ? '' : `## Undo\n\n\`\`\`sh\n${plan.undo.join('\n')}\n\`\`\``,
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

export function recheckText(recheck: Recheck): string {
  const first = recheck.holds ? 'The plan still holds.' : 'The plan does not hold as it was made:';
  return [
    first,
    ...recheck.changes.map((change) => `  ${change}`),
    ...(recheck.plan === undefined ? [] : ['', planText(recheck.plan, recheck.assign)]),
  ].join('\n');
}

export function rehearsalText(rehearsal: Rehearsal): string {
  const lines = rehearsal.steps.map(
    (step) => `  ${step.ok ? 'ok    ' : 'FAILED'} ${step.act}${step.detail === '' ? '' : `: ${step.detail}`}`,
  );
  return [
    'Rehearsal on the emulated host',
    ...lines,
    `  ${rehearsal.restored ? 'everything is as it was' : 'the host is NOT as it was'}`,
  ].join('\n');
}
