/** A machine with sixteen parents that tag their DMA with PASIDs of 20 bits, behind one unit. */
import { writeDmar } from '../../hw/acpi/dmar-writer.ts';
import { BareMachine } from '../../hw/host/bare-machine.ts';
import type { Device } from '../../hw/kernel/device.ts';
import type { ProfileName } from '../../hw/kernel/profile.ts';
import { Ats } from '../../hw/pci/capabilities/ats.ts';
import { Express } from '../../hw/pci/capabilities/express.ts';
import { PasidCapability } from '../../hw/pci/capabilities/pasid.ts';
import { capability, endpointConfiguration } from '../../hw/pci/configuration-builder.ts';
import { serverUnit } from '../../hw/vtd/configuration.ts';

export const PARENTS = 16;
const REGISTER_BASE = 0xfed90000n;

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const addressOf = (index: number): string => `0000:00:${(index + 2).toString(16).padStart(2, '0')}.0`;

/** Boots the machine; second-level tables, so that both profiles fill the same ones. */
export function benchMachine(profile: ProfileName): { machine: BareMachine; parents: Device[] } {
  const unit = serverUnit({ firstLevelTranslation: 0 }, 46);
  const config = hex(
    endpointConfiguration({
      header: { vendorId: 0x1234, deviceId: 0x1111, baseClass: 8, subClass: 0x80 },
      capabilities: [
        capability(Express, { version: 2, portType: 9, endToEndPrefixSupported: 1 }),
        capability(Ats, { pageAlignedRequest: 1 }),
        capability(PasidCapability, { maximumWidth: 20 }),
      ],
    }),
  );
  const machine = new BareMachine(
    {
      format: 'vtdeck-host',
      version: 1,
      name: 'bench',
      origin: 'bench',
      functions: Array.from({ length: PARENTS }, (_, index) => ({
        address: addressOf(index),
        config,
        driver: null,
      })),
      dmar: hex(
        writeDmar({
          revision: 1,
          oemId: 'BENCH',
          oemTableId: 'BENCH',
          oemRevision: 1,
          creatorId: 'B',
          creatorRevision: 1,
          hostAddressWidth: 46,
          interruptRemapping: true,
          x2apicOptOut: false,
          dmaControlOptIn: false,
          structures: [
            {
              kind: 'DRHD',
              includeAll: true,
              sizeShift: 0,
              segment: 0,
              registerBase: REGISTER_BASE,
              scopes: [],
            },
          ],
          warnings: [],
        }),
      ),
      units: [
        {
          registerBase: `0x${REGISTER_BASE.toString(16)}`,
          cap: `0x${unit.cap.toString(16)}`,
          ecap: `0x${unit.ecap.toString(16)}`,
        },
      ],
      memory: [{ start: '0x0', end: '0xffffffff' }],
    },
    { profile, autoprobe: false },
  );
  const parents = Array.from({ length: PARENTS }, (_, index) => {
    const device = machine.kernel.pciDevice(addressOf(index));
    if (device === undefined) throw new Error(`no parent ${index}`);
    return device;
  });
  return { machine, parents };
}
