/*
 * The walk of hw/vtd in C, for comparison: the same search order, the same cache geometry, native 64-bit entries over
 * flat memory. Reads its scenario from the command line, prints nanoseconds per translation.
 *
 *   walk MODE(legacy|scalable) LEVEL(1|2|3) DOMAINS PAGES REGION ROUNDS CACHES(0|1)
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MEMORY_BYTES (1ull << 30)
#define SETS 1024
#define WAYS 4
#define PAGING_ENTRIES 2048
#define MEMO_SLOTS 4096
#define ADDRESS_MASK 0x000ffffffffff000ull

static uint8_t *memory;
static uint64_t next_table = 1 << 24;
static uint32_t seed = 0x2545f491;

static uint32_t random32(void) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed;
}

static uint64_t read64(uint64_t at) { return *(uint64_t *)(memory + at); }
static void write64(uint64_t at, uint64_t value) { *(uint64_t *)(memory + at) = value; }
static uint64_t new_table(void) {
  uint64_t at = next_table;
  next_table += 4096;
  return at;
}

struct space {
  uint64_t root, too_wide;
  uint32_t tag;
  int levels, type;
};
struct entry {
  uint64_t page, frame;
  uint32_t tag, grants;
};
struct paging_entry {
  uint64_t region, table;
  uint32_t tag, rights;
};
struct memo {
  int32_t requester, pasid;
  struct space *space;
};

static struct entry iotlb[SETS][WAYS];
static uint8_t turn[SETS];
static struct paging_entry paging[2][PAGING_ENTRIES];
static struct memo memo[MEMO_SLOTS];
static struct space *spaces;
static uint8_t sizes[65536];
static int use_caches = 1;
static uint64_t found_frame;
static int found_size;
static uint32_t found_grants;

static uint32_t set_of(uint32_t tag, uint64_t page, int size) {
  return (uint32_t)((page >> (9 * size)) ^ (page >> 29) ^ tag * 0x9f) & (SETS - 1);
}

static struct entry *probe(uint32_t tag, uint64_t page, int size, uint32_t access) {
  uint64_t key = (page >> (9 * size) << (9 * size)) | (1ull << 62) | ((uint64_t)size << 60);
  struct entry *set = iotlb[set_of(tag, page, size)];
  for (int way = 0; way < WAYS; way++)
    if (set[way].page == key && set[way].tag == tag)
      return (set[way].grants & access) == access ? &set[way] : NULL;
  return NULL;
}

static void fill(uint32_t tag, uint64_t page, int size, uint32_t grants, uint64_t frame) {
  uint64_t key = (page >> (9 * size) << (9 * size)) | (1ull << 62) | ((uint64_t)size << 60);
  uint32_t number = set_of(tag, page, size);
  struct entry *set = iotlb[number], *chosen = NULL;
  for (int way = 0; way < WAYS; way++) {
    if (set[way].page == 0) {
      if (!chosen) chosen = &set[way];
    } else if (set[way].page == key && set[way].tag == tag) {
      chosen = &set[way];
      break;
    }
  }
  if (!chosen) {
    chosen = &set[turn[number]];
    turn[number] = (turn[number] + 1) & (WAYS - 1);
  }
  sizes[tag] |= 1 << size;
  *chosen = (struct entry){key, frame >> (9 * size) << (9 * size), tag, grants};
}

static __attribute__((noinline)) int walk(struct space *space, uint64_t page, uint32_t need) {
  if ((page << 12) & space->too_wide) return 4;
  int level = space->levels;
  uint64_t table = space->root;
  uint32_t rights = 3;
  if (use_caches) {
    for (int cached = 1; cached <= 2; cached++) {
      uint64_t region = page >> (9 * cached);
      struct paging_entry *entry =
          &paging[cached - 1][(region ^ (page >> 27) ^ space->tag * 0x9f) & (PAGING_ENTRIES - 1)];
      if (entry->region == region + 1 && entry->tag == space->tag) {
        level = cached;
        table = entry->table;
        rights = entry->rights;
        break;
      }
    }
  }
  for (;; level--) {
    if (table >= MEMORY_BYTES) return 7;
    uint64_t entry = read64(table + ((page >> (9 * (level - 1))) & 511) * 8);
    rights &= (uint32_t)entry;
    if ((need & ~rights) || !rights) return 6;
    int leaf = level == 1 || ((entry & 0x80) && level <= 3);
    if (entry & (leaf ? 0x4000000000000800ull : 0x4000000000000800ull)) return 12;
    if (leaf) {
      uint64_t inside = (1ull << (9 * (level - 1))) - 1;
      found_frame = (((entry & ADDRESS_MASK) >> 12) & ~inside) | (page & inside);
      found_size = level - 1;
      found_grants = rights;
      return 0;
    }
    table = entry & ADDRESS_MASK;
    if (use_caches && level <= 3) {
      uint64_t region = page >> (9 * (level - 1));
      paging[level - 2][(region ^ (page >> 27) ^ space->tag * 0x9f) & (PAGING_ENTRIES - 1)] =
          (struct paging_entry){region + 1, table, space->tag, rights};
    }
  }
}

static int in_interrupt_range(uint64_t page) { return page >> 8 == 0xfee; }

static int translate(int32_t requester, int32_t pasid, uint64_t page, uint32_t access, uint64_t *frame) {
  if (in_interrupt_range(page) && pasid < 0) return 256;
  struct memo *slot = &memo[(requester ^ (pasid + 1) * 0x2545) & (MEMO_SLOTS - 1)];
  if (slot->requester != requester || slot->pasid != pasid) return 2;
  struct space *space = slot->space;
  uint32_t known = use_caches ? sizes[space->tag] : 0;
  struct entry *entry = NULL;
  if (known & 1) entry = probe(space->tag, page, 0, access);
  if (!entry && (known & 2)) entry = probe(space->tag, page, 1, access);
  if (!entry && (known & 4)) entry = probe(space->tag, page, 2, access);
  if (entry) {
    int size = (entry->page >> 60) & 3;
    *frame = entry->frame | (page & ((1ull << (9 * size)) - 1));
  } else {
    int reason = walk(space, page, access & 3);
    if (reason) return reason;
    *frame = found_frame;
    if (use_caches) fill(space->tag, page, found_size, found_grants, found_frame);
  }
  return in_interrupt_range(*frame) ? 14 : 0;
}

static void map(uint64_t root, int levels, uint64_t page, int leaf, uint64_t frame) {
  uint64_t table = root;
  for (int level = levels; level > leaf; level--) {
    uint64_t at = table + ((page >> (9 * (level - 1))) & 511) * 8;
    if (!read64(at)) write64(at, new_table() | 3);
    table = read64(at) & ADDRESS_MASK;
  }
  write64(table + ((page >> (9 * (leaf - 1))) & 511) * 8, frame << 12 | 3 | (leaf > 1 ? 0x80 : 0));
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

int main(int count, char **words) {
  if (count != 8) return 2;
  int scalable = strcmp(words[1], "scalable") == 0, leaf = atoi(words[2]), domains = atoi(words[3]);
  int pages = atoi(words[4]), region = atoi(words[5]), rounds = atoi(words[6]);
  use_caches = atoi(words[7]);
  memory = calloc(1, MEMORY_BYTES);
  spaces = calloc(domains, sizeof *spaces);
  int32_t *requesters = malloc(sizeof(int32_t) * pages);
  uint64_t *numbers = malloc(sizeof(uint64_t) * pages);
  for (int slot = 0; slot < MEMO_SLOTS; slot++) memo[slot].requester = -1;
  for (int domain = 0; domain < domains; domain++) {
    spaces[domain] = (struct space){new_table(), ~((1ull << 48) - 1), domain, 4, 2};
    int32_t requester = 0x100 + domain, pasid = scalable ? 5 : -1;
    memo[(requester ^ (pasid + 1) * 0x2545) & (MEMO_SLOTS - 1)] =
        (struct memo){requester, pasid, &spaces[domain]};
  }
  for (int index = 0; index < pages; index += region) {
    int domain = (index / region) % domains;
    uint64_t base = ((uint64_t)(random32() & 0x1fffff) << 9) & ~((1ull << (9 * leaf)) - 1);
    for (int step = 0; step < region && index + step < pages; step++) {
      uint64_t page = base + ((uint64_t)step << (9 * (leaf - 1)));
      uint64_t frame = ((uint64_t)random32() & 0x7ffff) << (9 * (leaf - 1)) & 0xfffffff;
      map(spaces[domain].root, 4, page, leaf, frame + 0x100000 * (leaf == 1));
      requesters[index + step] = 0x100 + domain;
      numbers[index + step] = page;
    }
  }
  for (int index = pages - 1; index > 0; index--) {
    int other = random32() % (index + 1);
    int32_t r = requesters[index];
    uint64_t n = numbers[index];
    requesters[index] = requesters[other];
    numbers[index] = numbers[other];
    requesters[other] = r;
    numbers[other] = n;
  }
  struct space **used = malloc(sizeof *used * pages);
  for (int index = 0; index < pages; index++) used[index] = &spaces[requesters[index] - 0x100];
  int32_t pasid = scalable ? 5 : -1;
  uint64_t sum = 0, failures = 0;
  double times[15];
  int turns = 15;
  for (int turn_index = -3; turn_index < turns; turn_index++) {
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int round = 0; round < rounds; round++) {
      for (int index = 0; index < pages; index++) {
        uint64_t frame = 0;
        if (use_caches) {
          if (translate(requesters[index], pasid, numbers[index], 1, &frame)) failures++;
        } else {
          if (walk(used[index], numbers[index], 1)) failures++;
          frame = found_frame;
        }
        sum += frame;
      }
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    double ns = (after.tv_sec - before.tv_sec) * 1e9 + (after.tv_nsec - before.tv_nsec);
    if (turn_index >= 0) times[turn_index] = ns / ((double)rounds * pages);
  }
  qsort(times, turns, sizeof *times, compare);
  printf("%.3f %llu %llu\n", times[0], (unsigned long long)failures, (unsigned long long)sum);
  return 0;
}
