import { z } from 'zod';
import type { DmaResult } from '../../hw/index.ts';
import { defineAction } from './action.ts';
import { byteAddress, bytesOfHex, hexBytes, hexOfBytes, pciOrUuid } from './arguments.ts';
import { assignableNames, missingDeviceOrMdev } from './find.ts';

/** Lets the model of a device send a memory request upstream: it lands, or the unit above faults. */
export const deviceDma = defineAction({
  name: 'device.dma',
  title: 'Let the device do DMA',
  arguments: z.object({
    device: pciOrUuid,
    iova: byteAddress.describe('address that the device puts on the bus'),
    access: z.enum(['read', 'write']).default('write').describe('what the device does'),
    data: hexBytes.optional().describe('bytes to write, in hex (a pattern when left out)'),
    length: z.int().min(1).max(4096).optional().describe('how many bytes (default 16)'),
    pasid: z
      .int()
      .min(0)
      .max(0xfffff)
      .optional()
      .describe('a PASID forced on the request, as a broken device would'),
  }),
  danger: 'none',
  disabledReason: (host, { device }) => missingDeviceOrMdev(host, device),
  run(host, { device, iova, access, data, length, pasid }) {
    const bytes = data === undefined ? pattern(length ?? 16) : bytesOfHex(data);
    const result = host.deviceDma({
      device,
      iova: BigInt(iova),
      access,
      ...(access === 'write' ? { bytes } : { lengthBytes: length ?? bytes.length }),
      ...(pasid === undefined ? {} : { pasid }),
    });
    return { summary: summarize(result, access, iova, bytes.length), value: resultToJson(result) };
  },
  linuxCommand: (_host, { device, iova, access }) => [
    `# the guest driver of ${device} has it ${access} at ${iova}: no command of the host`,
  ],
  candidates: (host, argument) => (argument === 'device' ? assignableNames(host) : []),
});

/** 00 01 02 …: bytes that are easy to find again. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => at & 0xff);
}

function summarize(result: DmaResult, access: string, iova: string, length: number): string {
  const who = `request ${result.requesterId.toString(16).padStart(4, '0')}${result.pasid === undefined ? '' : ` PASID ${result.pasid}`}`;
  if (result.ok) {
    const by = result.fromDeviceTlb === true ? ', by a translation the device had kept' : '';
    return `${access} of ${result.bytes?.length ?? length} bytes at ${iova} landed (${who}${by})`;
  }
  if (result.fault !== undefined) {
    return `${access} at ${iova} faulted: ${result.fault.meaning} (reason 0x${result.fault.reason.toString(16)}, ${who})`;
  }
  return `${access} at ${iova} did not land: ${result.note ?? 'refused without a recorded fault'} (${who})`;
}

function resultToJson(result: DmaResult): unknown {
  const { fault } = result;
  return {
    ok: result.ok,
    bytesDone: result.bytesDone,
    bytes: result.bytes === undefined ? null : hexOfBytes(result.bytes),
    requesterId: `0x${result.requesterId.toString(16)}`,
    pasid: result.pasid ?? null,
    fault:
      fault === undefined
        ? null
        : {
            ...fault,
            device: fault.device ?? null,
            pasid: fault.pasid ?? null,
            address: `0x${fault.address.toString(16)}`,
            reason: `0x${fault.reason.toString(16)}`,
          },
    note: result.note ?? null,
  };
}
