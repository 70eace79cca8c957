/** What each kernel generation has of the systems shown here, what it lacks, and what took its place. */
import type { KernelProfile, ProfileName } from './profile.ts';

export interface ProfileNote {
  readonly system: string;
  readonly has: boolean;
  /** How it is there, or what stands in its place. */
  readonly detail: string;
}

type Answers = Readonly<Record<ProfileName, readonly [has: boolean, detail: string]>>;

const NOTES: readonly (readonly [string, Answers])[] = [
  [
    'DMA ownership of groups',
    {
      '5.15': [
        false,
        'VFIO looks at the bound drivers (viable); a driver that binds into a used group stops the machine',
      ],
      '6.1': [true, 'owner_cnt; one claim for each group'],
      '7.2': [true, 'owner_cnt; one claim for each group, or one for each device by the same owner'],
    },
  ],
  [
    'auxiliary domains',
    {
      '5.15': [true, 'one default PASID for each domain, mode switch for each device'],
      '6.1': [false, 'removed in 5.18; nothing for users took their place yet'],
      '7.2': [false, 'removed in 5.18; iommu_attach_device_pasid took their place'],
    },
  ],
  [
    'domains on PASIDs of the caller',
    {
      '5.15': [false, 'auxiliary domains come nearest'],
      '6.1': [false, 'inside the kernel for shared virtual addresses only'],
      '7.2': [true, 'iommu_attach_device_pasid, for every PASID-capable member of the group'],
    },
  ],
  [
    'mediated devices isolated by the IOMMU',
    {
      '5.15': [true, 'mdev_set_iommu_device: type1 attaches the parent in auxiliary mode'],
      '6.1': [false, 'pinned pages only: the parent driver isolates'],
      '7.2': [false, 'pinned pages, or access objects of iommufd'],
    },
  ],
  [
    'IOASID allocator and sets',
    {
      '5.15': [true, 'numbers only; sets with quota were proposed in May 2021 and never merged'],
      '6.1': [true, 'a small allocator of numbers'],
      '7.2': [false, 'iommu_alloc_global_pasid; iommufd took the place of sets'],
    },
  ],
  [
    'iommufd and device nodes',
    {
      '5.15': [false, 'containers of VFIO type1'],
      '6.1': [false, 'containers of VFIO type1'],
      '7.2': [true, '/dev/iommu, /dev/vfio/devices; containers by its compatibility layer too'],
    },
  ],
  [
    'first-level tables',
    {
      '5.15': [true, 'for all domains, if every unit has them'],
      '6.1': [true, 'for kernel DMA; user domains get second level where both are there'],
      '7.2': [
        true,
        'wherever the unit of the device has them, unless nesting or dirty tracking asks for second level',
      ],
    },
  ],
  [
    'reserved memory regions (RMRR) of a device that is handed out',
    {
      '5.15': [true, 'attach of a user domain is refused with EPERM, but for USB and graphics'],
      '6.1': [true, 'attach of a user domain is refused with EPERM, but for USB and graphics'],
      '7.2': [true, 'the claim is refused with EINVAL, but for USB and graphics'],
    },
  ],
];

/** One line for each system. */
export function profileNotes(profile: KernelProfile): ProfileNote[] {
  return NOTES.map(([system, answers]) => {
    const [has, detail] = answers[profile.name];
    return { system, has, detail };
  });
}
