/** Numbers that must not be mixed up on the hot path, as branded integers. */

declare const brand: unique symbol;

/** An I/O virtual page: iova >> 12. Exact up to 2^52. */
export type Page = number & { readonly [brand]: 'page' };
/** A physical page frame: physical address >> 12. */
export type Frame = number & { readonly [brand]: 'frame' };

/** Bytes in a page. */
export const PAGE_SIZE = 4096;
