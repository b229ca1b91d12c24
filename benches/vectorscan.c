/* Asks vectorscan for all patterns at once about each line of a file, and prints how many lines any of them matches.
 * Built by benches/compare where libvectorscan-dev is installed; not part of trommel. */
#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERNS_MAX = 10000, PATTERN_BYTES_MAX = 4096 };

static int found(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *any) {
    (void)id, (void)from, (void)to, (void)flags;
    *(int *)any = 1;
    return 1; /* One is enough for a line. */
}

static void check(int fine, const char *what) {
    if (!fine) {
        fprintf(stderr, "vectorscan: %s\n", what);
        exit(2);
    }
}

int main(int count, char **names) {
    check(count == 3, "usage: vectorscan PATTERNS LINES");
    static char *patterns[PATTERNS_MAX];
    static unsigned flags[PATTERNS_MAX], ids[PATTERNS_MAX];
    unsigned all = 0;
    char line[PATTERN_BYTES_MAX];
    FILE *file = fopen(names[1], "r");
    check(file != NULL, "cannot read the patterns");
    while (all < PATTERNS_MAX && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        patterns[all] = strdup(line);
        flags[all] = HS_FLAG_SINGLEMATCH;
        ids[all] = all;
        all++;
    }
    fclose(file);
    hs_database_t *database;
    hs_compile_error_t *error;
    if (hs_compile_multi((const char *const *)patterns, flags, ids, all, HS_MODE_BLOCK, NULL, &database, &error) != HS_SUCCESS)
        check(0, error->message);
    hs_scratch_t *scratch = NULL;
    check(hs_alloc_scratch(database, &scratch) == HS_SUCCESS, "no memory");

    file = fopen(names[2], "r");
    check(file != NULL, "cannot read the lines");
    char *text = NULL;
    size_t room = 0;
    long length, matching = 0;
    while ((length = getline(&text, &room, file)) > 0) {
        int any = 0;
        hs_scan(database, text, (unsigned)length - 1, 0, scratch, found, &any);
        matching += any;
    }
    printf("%ld\n", matching);
    return 0;
}
