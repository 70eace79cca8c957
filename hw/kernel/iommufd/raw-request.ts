/** An ioctl by its bare number: who takes it, and what it says to a null pointer (iommufd_fops_ioctl). */
import { KernelError } from '../errno.ts';
import { Request } from '../vfio/uapi.ts';
import type { IommufdContext } from './context.ts';
import { classifyRequest } from './ioctls.ts';
import { apiVersion, checkExtension, setIommu } from './vfio-compat.ts';

function notKnown(command: number): KernelError {
  return new KernelError(
    'ENOTTY',
    'unknown request',
    `0x${command.toString(16)} is no request of /dev/iommu`,
  );
}

/**
 * @param argument the third argument: an address, or a number for the requests that take one.
 * @throws KernelError ENOTTY for numbers nobody knows; EFAULT for a request whose structure is not there. Requests with
 * a structure are made by their own functions, not here.
 */
export function rawRequest(context: IommufdContext, command: number, argument: bigint): number {
  const request = classifyRequest(command, context.module.selftest);
  if (request.kind === 'vfio') {
    switch (command) {
      case Request.GET_API_VERSION:
        return apiVersion();
      case Request.CHECK_EXTENSION:
        return checkExtension(context, Number(argument));
      case Request.SET_IOMMU:
        setIommu(context, Number(argument));
        return 0;
      case Request.IOMMU_GET_INFO:
      case Request.IOMMU_MAP_DMA:
      case Request.IOMMU_UNMAP_DMA:
        throw nullPointer(command);
      default:
        throw notKnown(command);
    }
  }
  // The size is read before the number is looked up.
  if (argument === 0n) throw nullPointer(command);
  throw notKnown(command);
}

function nullPointer(command: number): KernelError {
  return new KernelError('EFAULT', 'null pointer', `request 0x${command.toString(16)} takes a structure`);
}
