/*
 * A stand-in for NVIDIA's management library: what nvml-wrapper calls, answered from files.
 *
 * The files lie in the folder that the shared object itself lies in, so that each copy of it is a machine of its own,
 * also within one process:
 *
 *   state            one fact a line, read anew at each call; whoever changes it replaces it whole (rename):
 *     card I UUID TOTAL RESERVED NAME...   a card; I counts from 0
 *     stranger I BYTES PID                 use by another program; PID 0: the driver names nobody
 *     graphics I BYTES PID                 PID draws; only in that list, not in the sum
 *     fail I CODE                          card I answers with this nvmlReturn_t
 *     fail all CODE                        everything does
 *     unavailable                          use per process is not told (containers, WSL, MIG)
 *     bare                                 utilization, temperature and lists are not supported
 *     delay MS                             memory comes back this long after its process has ended
 *   hang             while it is there no call returns
 *   alloc/PID.I      a number of bytes that PID holds on card I. Counts until the file is removed, or until PID has
 *                    ended and the delay is over: then this library removes it.
 *
 * Structures and codes as in nvml.h of NVIDIA's driver 12.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef int nvmlReturn_t;
typedef void *nvmlDevice_t;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } nvmlMemory_v2_t;
typedef struct { unsigned int pid; unsigned long long usedGpuMemory; unsigned int gpuInstanceId, computeInstanceId; } nvmlProcessInfo_t;
typedef struct { unsigned int gpu, memory; } nvmlUtilization_t;

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };
enum { CARDS = 16, ENTRIES = 256, LINE = 512, PATH = 4096, FILE_PATH = PATH + 300 };

struct card { int there, fail; unsigned long long total, reserved; char uuid[96], name[LINE]; };
struct entry { unsigned int index, pid; unsigned long long bytes; };
struct list { unsigned int count; struct entry entries[ENTRIES]; };
struct state {
    int fail_all, unavailable, bare;
    long long delay;
    struct card cards[CARDS];
    struct list strangers, graphics;
};

static void folder(char *path, const char *below) {
    Dl_info self;
    path[0] = 0;
    if (!dladdr((void *)folder, &self) || strlen(self.dli_fname) + strlen(below) + 2 > PATH) return;
    strcpy(path, self.dli_fname);
    char *slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, below);
}

static void hang(void) {
    char path[PATH];
    folder(path, "hang");
    while (access(path, F_OK) == 0) nanosleep(&(struct timespec){0, 2000000}, NULL);
}

static void add(struct list *list, unsigned int index, unsigned long long bytes, unsigned int pid) {
    if (list->count < ENTRIES) list->entries[list->count++] = (struct entry){index, pid, bytes};
}

static nvmlReturn_t load(struct state *state) {
    char path[PATH], line[LINE], uuid[96];
    hang();
    memset(state, 0, sizeof *state);
    folder(path, "state");
    FILE *file = fopen(path, "re");
    if (!file) return UNKNOWN;
    while (fgets(line, sizeof line, file)) {
        unsigned int index, pid;
        unsigned long long bytes, reserved;
        int code, at = 0;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "card %u %95s %llu %llu %n", &index, uuid, &bytes, &reserved, &at) == 4 && at && index < CARDS) {
            struct card *card = &state->cards[index];
            card->there = 1, card->total = bytes, card->reserved = reserved;
            strcpy(card->uuid, uuid);
            strcpy(card->name, line + at);
        } else if (sscanf(line, "stranger %u %llu %u", &index, &bytes, &pid) == 3) {
            add(&state->strangers, index, bytes, pid);
        } else if (sscanf(line, "graphics %u %llu %u", &index, &bytes, &pid) == 3) {
            add(&state->graphics, index, bytes, pid);
        } else if (sscanf(line, "fail all %d", &code) == 1) {
            state->fail_all = code;
        } else if (sscanf(line, "fail %u %d", &index, &code) == 2 && index < CARDS) {
            state->cards[index].fail = code;
        } else if (strcmp(line, "unavailable") == 0) {
            state->unavailable = 1;
        } else if (strcmp(line, "bare") == 0) {
            state->bare = 1;
        } else {
            sscanf(line, "delay %lld", &state->delay);
        }
    }
    fclose(file);
    return state->fail_all;
}

/* A process that has ended and was not waited for holds nothing any more. */
static int is_alive(unsigned int pid) {
    char path[64], text[LINE];
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char *name_end = strrchr(text, ')');
    return name_end && name_end[1] && !strchr("ZX", name_end[2]);
}

/* Milliseconds since the process's end was noticed, which renames its file; negative while it lives. */
static long long gone_for(const char *path, unsigned int pid) {
    size_t length = strlen(path);
    if (length < 5 || strcmp(path + length - 5, ".gone") != 0) {
        if (is_alive(pid)) return -1;
        char gone[FILE_PATH + 8];
        snprintf(gone, sizeof gone, "%s.gone", path);
        utimensat(AT_FDCWD, path, NULL, 0);
        rename(path, gone);
        return 0;
    }
    struct stat about;
    struct timespec now;
    if (stat(path, &about) != 0) return 0;
    clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec - about.st_mtim.tv_sec) * 1000LL + (now.tv_nsec - about.st_mtim.tv_nsec) / 1000000;
}

/* What is allocated on a card; `living` gets those whose process lives. */
static unsigned long long allocated(const struct state *state, unsigned int index, struct list *living) {
    char path[PATH];
    unsigned long long sum = 0;
    folder(path, "alloc");
    DIR *dir = opendir(path);
    if (!dir) return 0;
    for (struct dirent *found; (found = readdir(dir));) {
        char file[FILE_PATH];
        unsigned int pid, on;
        unsigned long long bytes = 0;
        int end = 0;
        if (sscanf(found->d_name, "%u.%u%n", &pid, &on, &end) != 2 || on != index) continue;
        if (found->d_name[end] && strcmp(found->d_name + end, ".gone") != 0) continue;
        snprintf(file, sizeof file, "%s/%s", path, found->d_name);
        FILE *content = fopen(file, "re");
        if (!content) continue;
        int is_read = fscanf(content, "%llu", &bytes);
        fclose(content);
        if (is_read != 1) continue;
        long long gone = gone_for(file, pid);
        if (gone >= 0 && gone >= state->delay) {
            unlink(file);
            snprintf(file, sizeof file, "%s/%u.%u.gone", path, pid, on);
            unlink(file);
            continue;
        }
        sum += bytes;
        if (gone < 0) add(living, index, bytes, pid);
    }
    closedir(dir);
    return sum;
}

/* The state, and which card is meant. */
static nvmlReturn_t look(nvmlDevice_t device, struct state *state, unsigned int *index) {
    nvmlReturn_t result = load(state);
    if (result) return result;
    *index = (unsigned int)(size_t)device - 1;
    if (*index >= CARDS || !state->cards[*index].there) return INVALID_ARGUMENT;
    return state->cards[*index].fail;
}

static nvmlReturn_t put(char *to, unsigned int length, const char *text) {
    if (strlen(text) >= length) return INSUFFICIENT_SIZE;
    strcpy(to, text);
    return SUCCESS;
}

nvmlReturn_t nvmlInit_v2(void) {
    struct state state;
    return load(&state);
}

nvmlReturn_t nvmlShutdown(void) { return SUCCESS; }

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    struct state state;
    nvmlReturn_t result = load(&state);
    return result ? result : put(version, length, "570.0.0");
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
    struct state state;
    nvmlReturn_t result = load(&state);
    if (result) return result;
    for (*count = 0; *count < CARDS && state.cards[*count].there;) ++*count;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    struct state state;
    *device = (nvmlDevice_t)(size_t)(index + 1);
    return look(*device, &state, &index);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length) {
    struct state state;
    unsigned int index;
    nvmlReturn_t result = look(device, &state, &index);
    return result ? result : put(name, length, state.cards[index].name);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
    struct state state;
    unsigned int index;
    nvmlReturn_t result = look(device, &state, &index);
    return result ? result : put(uuid, length, state.cards[index].uuid);
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
    struct state state;
    struct list living = {0};
    unsigned int index;
    if (memory->version != (sizeof *memory | 2u << 24)) return 25;
    nvmlReturn_t result = look(device, &state, &index);
    if (result) return result;
    const struct card *card = &state.cards[index];
    unsigned long long used = allocated(&state, index, &living);
    for (unsigned int n = 0; n < state.strangers.count; n++)
        if (state.strangers.entries[n].index == index) used += state.strangers.entries[n].bytes;
    unsigned long long most = card->total > card->reserved ? card->total - card->reserved : 0;
    memory->total = card->total;
    memory->reserved = card->reserved;
    memory->used = used < most ? used : most;
    memory->free = most - memory->used;
    return SUCCESS;
}

/* As NVML does it: asked with too little room, it says how much is needed. */
static nvmlReturn_t fill(const struct state *state, const struct list *list, unsigned int index, unsigned int *room, nvmlProcessInfo_t *infos) {
    unsigned int count = 0;
    if (state->bare) return NOT_SUPPORTED;
    for (unsigned int n = 0; n < list->count; n++) {
        const struct entry *entry = &list->entries[n];
        if (entry->index != index || entry->pid == 0) continue;
        if (infos && count < *room)
            infos[count] = (nvmlProcessInfo_t){entry->pid, state->unavailable ? ~0ULL : entry->bytes, ~0u, ~0u};
        count++;
    }
    int fits = count <= *room && (infos || count == 0);
    *room = count;
    return fits ? SUCCESS : INSUFFICIENT_SIZE;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos) {
    struct state state;
    struct list living = {0};
    unsigned int index;
    nvmlReturn_t result = look(device, &state, &index);
    if (result) return result;
    allocated(&state, index, &living);
    for (unsigned int n = 0; n < state.strangers.count; n++) {
        const struct entry *entry = &state.strangers.entries[n];
        add(&living, entry->index, entry->bytes, entry->pid);
    }
    return fill(&state, &living, index, count, infos);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos) {
    struct state state;
    unsigned int index;
    nvmlReturn_t result = look(device, &state, &index);
    return result ? result : fill(&state, &state.graphics, index, count, infos);
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *rates) {
    struct state state;
    unsigned int index;
    nvmlReturn_t result = look(device, &state, &index);
    if (result) return result;
    *rates = (nvmlUtilization_t){7, 3};
    return state.bare ? NOT_SUPPORTED : SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned int *degrees) {
    struct state state;
    unsigned int index;
    nvmlReturn_t result = look(device, &state, &index);
    if (result) return result;
    if (sensor != 0) return INVALID_ARGUMENT;
    *degrees = 41;
    return state.bare ? NOT_SUPPORTED : SUCCESS;
}
