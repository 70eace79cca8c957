/** The directions of import. See docs/architecture.md. */
module.exports = {
  forbidden: [
    { name: 'hw-knows-no-application', severity: 'error', from: { path: '^hw/' }, to: { path: '^(src|views|test|bench)/' } },
    { name: 'hw-touches-no-world', severity: 'error', comment: 'No files, no clock, no randomness, no package that brings them.', from: { path: '^hw/' }, to: { dependencyTypes: ['core'] } },
    { name: 'hardware-knows-no-kernel', severity: 'error', from: { path: '^hw/(memory|pci|acpi|vtd|devices)/' }, to: { path: '^hw/(kernel|guest)/' } },
    {
      name: 'kernel-reaches-hardware-through-its-port',
      severity: 'error',
      comment: 'The kernel half may read declarations (layouts, register offsets, table formats) but no working part of the hardware.',
      from: { path: '^hw/kernel/' },
      to: { path: '^hw/(memory|pci|acpi|vtd|devices)/', pathNot: '^hw/(memory/types|vtd/(layouts|registers|fault-reasons|descriptors)|devices/[a-z-]+-registers|acpi/|pci/(layouts|capabilities|config-layouts|address|quirks))', dependencyTypesNot: ['type-only'] },
    },
    { name: 'application-uses-the-door', severity: 'error', comment: 'hw/index.ts is the only door.', from: { path: '^(src|views)/' }, to: { path: '^hw/', pathNot: '^hw/index\\.ts$' } },
    { name: 'src-never-views', severity: 'error', from: { path: '^src/', pathNot: '^src/commands/open\\.ts$' }, to: { path: '^views/' } },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'], extensions: ['.ts', '.tsx', '.js', '.json'] },
  },
};
