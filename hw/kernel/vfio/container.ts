/**
 * The container (struct vfio_container): the address space that groups share. drivers/vfio/container.c.
 */
import { KernelError } from '../errno.ts';
import type { OpenFileObject } from '../process/file.ts';
import type { Process } from '../process/process.ts';
import type { VfioGroup } from './group.ts';
import { noIommuExtension, requireRawIo } from './no-iommu.ts';
import type { DirtyPagesRequest, MapDmaRequest, Type1Info, UnmapDmaRequest } from './type1/requests.ts';
import type { ContainerGroup, Type1Environment } from './type1/state.ts';
import { Type1 } from './type1/type1.ts';
import { Extension } from './uapi.ts';

const API_VERSION = 0;

export class Container implements OpenFileObject {
  readonly fileKind = 'vfio container';
  private readonly environment: Type1Environment;
  private readonly members: VfioGroup[] = [];
  private chosen: Type1 | undefined;
  /** The back end without IOMMU is set: nothing can be mapped. */
  private unprotected = false;

  constructor(environment: Type1Environment) {
    this.environment = environment;
  }

  /** The descriptor is closed. Groups keep the container: mappings live on until the last of them leaves. */
  release(): void {}

  /** The back end knows the rest; without one nothing does. */
  unknownRequest(): 'EINVAL' | 'ENOTTY' {
    return this.hasBackend ? 'ENOTTY' : 'EINVAL';
  }

  /** Groups now in it. */
  get groups(): readonly VfioGroup[] {
    return this.members;
  }

  /** The back end, once SET_IOMMU chose it. */
  get backend(): Type1 | undefined {
    return this.chosen;
  }

  /** Its groups have no IOMMU (no-IOMMU mode); real groups and these never mix. */
  get noIommu(): boolean {
    return this.members.some((group) => group.noIommu);
  }

  /** SET_IOMMU chose a back end. */
  get hasBackend(): boolean {
    return this.chosen !== undefined || this.unprotected;
  }

  apiVersion(): number {
    return API_VERSION;
  }

  /** VFIO_CHECK_EXTENSION: 0 for what nobody knows. */
  checkExtension(extension: number): number {
    const type1 = Type1.checkExtension(extension, this.environment, this.chosen);
    if (this.chosen !== undefined) return type1;
    const without = noIommuExtension(extension, this.environment);
    if (this.unprotected) return without;
    if (this.members.length > 0) return this.noIommu ? without : type1;
    return type1 > 0 ? type1 : without;
  }

  /**
   * VFIO_SET_IOMMU. @throws KernelError EINVAL (no group, set already, or a number that is only an extension), ENODEV
   * (no back end has this type), EPERM (no-IOMMU mode without CAP_SYS_RAWIO), and why a group could not be attached;
   * nothing is set then. @param process Who asks; the superuser unless told.
   */
  setIommu(type: number, process?: Process): void {
    if (this.members.length === 0)
      throw new KernelError(
        'EINVAL',
        'container empty',
        'no group is in the container',
        'SET_CONTAINER comes first',
      );
    if (this.hasBackend)
      throw new KernelError('EINVAL', 'back end set', 'the container has its back end already');
    if (this.noIommu) {
      if (noIommuExtension(type, this.environment) === 0)
        throw new KernelError(
          'ENODEV',
          'no back end',
          `the groups have no IOMMU: no back end of type ${type} takes them`,
        );
      if (process !== undefined) requireRawIo(process, this.members[0].id);
      this.unprotected = true;
      return;
    }
    if (Type1.checkExtension(type, this.environment, undefined) <= 0 || type === Extension.DMA_CC_IOMMU)
      throw new KernelError('ENODEV', 'no back end', `no IOMMU back end implements type ${type}`);
    const backend = new Type1(this.environment, type);
    const attached: ContainerGroup[] = [];
    try {
      for (const group of this.members) {
        backend.attachGroup(group);
        attached.push(group);
      }
    } catch (error) {
      for (const group of attached.reverse()) backend.detachGroup(group);
      throw error;
    }
    this.chosen = backend;
  }

  /** @throws KernelError EPERM: the container has groups with an IOMMU and this one has none, or the other way round. */
  refuseMixing(group: VfioGroup): void {
    if (this.members.length === 0 || this.noIommu === group.noIommu) return;
    throw new KernelError(
      'EPERM',
      'groups with and without IOMMU',
      `group ${group.id} ${group.noIommu ? 'has no IOMMU' : 'has an IOMMU'}, unlike those in the container`,
      'Use another container.',
    );
  }

  /** Takes a group in (the group has claimed DMA ownership). @throws KernelError: the group can't join. */
  addGroup(group: VfioGroup): void {
    this.chosen?.attachGroup(group);
    this.members.push(group);
  }

  /** A group leaves; the last one takes the back end and all mappings with it. */
  removeGroup(group: VfioGroup): void {
    this.chosen?.detachGroup(group);
    this.members.splice(this.members.indexOf(group), 1);
    if (this.members.length > 0) return;
    this.chosen = undefined;
    this.unprotected = false;
  }

  mapDma(process: Process, request: MapDmaRequest): void {
    this.driver('map').mapDma(process, request);
  }

  unmapDma(process: Process, request: UnmapDmaRequest): bigint {
    return this.driver('unmap').unmapDma(process, request);
  }

  info(argsz: number): Type1Info {
    return this.driver('info').info(argsz);
  }

  dirtyPages(request: DirtyPagesRequest): void {
    this.driver('dirty tracking').dirtyPages(request);
  }

  /** @throws KernelError EINVAL: no back end yet; ENOTTY: it is the one without IOMMU, which maps nothing. */
  driver(what: string): Type1 {
    if (this.chosen !== undefined) return this.chosen;
    if (this.unprotected)
      throw new KernelError('ENOTTY', 'no IOMMU', `${what}: there is no IOMMU behind the container`);
    throw new KernelError(
      'EINVAL',
      'no back end',
      `${what}: the container has no back end`,
      'SET_IOMMU comes first',
    );
  }
}
