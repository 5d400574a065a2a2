/* Copyright (c) 2026, the opsready.golive authors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A libnvidia-ml.so.1 without a GPU: the real pynvml loads it, finds its symbols or not, and passes its real structures.
 * NVML_STUB_<NAME>_<index>, else NVML_STUB_<NAME>, in the environment change what it tells. Built with -DOLD_DRIVER it
 * lacks the functions that came with later drivers, as their library does. Signatures, structures and their versions are
 * those of nvml.h, as the ctypes definitions of nvidia-ml-py 13.615.71 (pynvml.py) have them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <unistd.h>

enum { SUCCESS, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15,
       ARGUMENT_VERSION_MISMATCH = 25 };
#define MOST 8

typedef unsigned long long bytes;
typedef struct { int index, looks; char profile[16]; } device;
static device devices[MOST];

static const char *setting(const char *name, int index) {
    char variable[64];
    snprintf(variable, sizeof variable, "NVML_STUB_%s_%d", name, index);
    const char *value = getenv(variable);
    if (value) return value;
    snprintf(variable, sizeof variable, "NVML_STUB_%s", name);
    return getenv(variable);
}

static long long state(const char *name, int index, long long normal) {
    const char *value = setting(name, index);
    return value ? atoll(value) : normal;
}

/* What every question about a GPU may answer instead. */
static int mood(device *gpu) {
    if (state("HANG_QUESTIONS", gpu->index, 0)) sleep(3600);
    return state("LOST_LATER", gpu->index, 0) ? GPU_IS_LOST : SUCCESS;
}

static int ecc_mood(device *gpu) {
    int answer = mood(gpu);
    return answer ? answer : state("GEFORCE", gpu->index, 0) ? NOT_SUPPORTED : SUCCESS;
}

/* A tracer that does not look keeps us from being reaped, as a sleep in the kernel does: SIGKILL alone ends nothing. */
static void never_be_reaped(const char *release) {
    int done[2];
    char word;
    if (pipe(done)) abort();
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    pid_t traced = getpid();
    if (!fork()) {
        setsid();
        word = ptrace(PTRACE_SEIZE, traced, 0, 0) ? 'n' : 'y';
        if (write(done[1], &word, 1) != 1 || word == 'n') _exit(1);
        for (int turn = 0; turn < 6000 && access(release, F_OK); turn++) usleep(10000);
        _exit(0);
    }
    if (read(done[0], &word, 1) != 1 || word != 'y') abort();
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    for (int index = 0; index < MOST; index++) devices[index].index = index;
    if (getenv("NVML_STUB_STUCK")) never_be_reaped(getenv("NVML_STUB_STUCK"));
    if (getenv("NVML_STUB_STUCK") || state("HANG", 0, 0)) sleep(3600);
    if (state("CRASH", 0, 0)) abort();
    return state("INIT", 0, SUCCESS);
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the stub"; }

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    const char *version = setting("DRIVER", 0);
    snprintf(text, size, "%s", version ? version : "570.86.15");
    return SUCCESS;
}
/* Works without a driver, and is told only where it is set. */
int nvmlSystemGetNVMLVersion(char *text, unsigned size) {
    const char *version = setting("LIBRARY", 0);
    snprintf(text, size, "%s", version ? version : "");
    return version ? SUCCESS : NOT_SUPPORTED;
}
int nvmlSystemGetCudaDriverVersion(int *version) { *version = state("CUDA", 0, 12080); return state("UNTOLD", 0, SUCCESS); }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = state("COUNT", 0, 1); return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device **gpu) {
    if (index >= MOST) return INVALID_ARGUMENT;
    if (state("LOST", index, 0)) return GPU_IS_LOST;
    *gpu = &devices[index];
    return SUCCESS;
}
int nvmlDeviceGetName(device *gpu, char *text, unsigned size) {
    const char *name = setting("NAME", gpu->index);
    snprintf(text, size, "%s%s%s", name ? name : "NVIDIA GeForce RTX 4080", *gpu->profile ? " MIG " : "",
             strcmp(gpu->profile, "unnamed") ? gpu->profile : "");
    return mood(gpu);
}
int nvmlDeviceGetUUID(device *gpu, char *text, unsigned size) {
    snprintf(text, size, "%s-00000000-0000-0000-0000-00000000000%d", *gpu->profile ? "MIG" : "GPU", gpu->index);
    return mood(gpu);
}

typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci;
int nvmlDeviceGetPciInfo_v3(device *gpu, pci *told) {
    memset(told, 0, sizeof *told);
    snprintf(told->bus_id, sizeof told->bus_id, "00000000:%02X:00.0", gpu->index + 1);
    return mood(gpu);
}

/* 16 GiB, as the card's box says 16 GB, of which the driver keeps some. */
static void memory_of(device *gpu, bytes *total, bytes *free, bytes *used, bytes reserved) {
    const char *peak = setting("PEAK_USED", gpu->index);
    *total = state("TOTAL", gpu->index, 16376LL << 20);
    *used = ++gpu->looks == 3 && peak ? (bytes)atoll(peak) : (bytes)state("USED", gpu->index, 1LL << 30);
    *free = *total - *used - reserved;
}
typedef struct { bytes total, free, used; } memory;
int nvmlDeviceGetMemoryInfo(device *gpu, memory *told) {
    memory_of(gpu, &told->total, &told->free, &told->used, 0);
    return mood(gpu);
}
#ifndef OLD_DRIVER
typedef struct { unsigned version; bytes total, reserved, free, used; } memory_v2;
int nvmlDeviceGetMemoryInfo_v2(device *gpu, memory_v2 *told) {
    if (told->version != (sizeof(memory_v2) | 2 << 24)) return ARGUMENT_VERSION_MISMATCH;
    told->reserved = 300ULL << 20;
    memory_of(gpu, &told->total, &told->free, &told->used, told->reserved);
    return mood(gpu);
}
int nvmlDeviceGetCurrentClocksEventReasons(device *gpu, bytes *told) {
    *told = state("THROTTLE", gpu->index, 1);
    return mood(gpu);
}
int nvmlDeviceGetRemappedRows(device *gpu, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    *corrected = state("REMAP_CORRECTED", gpu->index, 0);
    *uncorrected = state("REMAP_UNCORRECTED", gpu->index, 0);
    *pending = state("REMAP_PENDING", gpu->index, 0);
    *failed = state("REMAP_FAILED", gpu->index, 0);
    return ecc_mood(gpu);
}
typedef struct { unsigned field, scope; long long stamp, latency; unsigned kind; int answer; union { unsigned number; bytes wide; } value; } field;
int nvmlDeviceGetFieldValues(device *gpu, int count, field *told) {
    for (int turn = 0; turn < count; turn++) {
        int is_told = told[turn].field == 230 || told[turn].field == 91;
        told[turn].answer = is_told && !state("GEFORCE", gpu->index, 0) ? SUCCESS : NOT_SUPPORTED;
        told[turn].kind = 1;
        told[turn].value.number = told[turn].field == 91 ? state("LINKS", gpu->index, 4) : state("RECOVERY", gpu->index, 0);
    }
    return mood(gpu);
}
/* NVML_STUB_LINKS_DOWN and _UNTOLD are bit masks. */
int nvmlDeviceGetNvLinkState(device *gpu, unsigned link, unsigned *is_active) {
    if (link >= state("LINKS", gpu->index, 4)) return INVALID_ARGUMENT;
    if (state("LINKS_UNTOLD", gpu->index, 0) >> link & 1) return NOT_SUPPORTED;
    *is_active = !(state("LINKS_DOWN", gpu->index, 0) >> link & 1);
    return mood(gpu);
}
typedef struct { unsigned version; unsigned char cluster[16]; unsigned status, clique, state, health; } fabric_v2;
int nvmlDeviceGetGpuFabricInfoV(device *gpu, fabric_v2 *told) {
    if (told->version != (sizeof(fabric_v2) | 2 << 24)) return ARGUMENT_VERSION_MISMATCH;
    told->status = state("FABRIC_STATUS", gpu->index, SUCCESS);
    told->state = state("FABRIC", gpu->index, 3);
    told->health = state("FABRIC_HEALTH", gpu->index, 0);
    return ecc_mood(gpu);
}
int nvmlDeviceGetMigMode(device *gpu, unsigned *current, unsigned *pending) {
    *current = state("MIG", gpu->index, 0);
    *pending = state("MIG_PENDING", gpu->index, *current);
    return ecc_mood(gpu);
}
#define MOST_INSTANCES 7
static device instances[MOST][MOST_INSTANCES];
int nvmlDeviceGetMaxMigDeviceCount(device *gpu, unsigned *most) {
    *most = state("MIG", gpu->index, 0) ? MOST_INSTANCES : 0;
    return ecc_mood(gpu);
}
/* NVML_STUB_PROFILES are words, one for each slot; "-" is an empty slot. */
int nvmlDeviceGetMigDeviceHandleByIndex(device *gpu, unsigned slot, device **instance) {
    const char *word = setting("PROFILES", gpu->index);
    if (slot >= MOST_INSTANCES) return INVALID_ARGUMENT;
    for (unsigned turn = 0; word && turn < slot; turn++) {
        word = strchr(word, ' ');
        word += word != NULL;
    }
    device *found = *instance = &instances[gpu->index][slot];
    if (!word || sscanf(word, "%15s", found->profile) != 1 || !strcmp(found->profile, "-")) return NOT_FOUND;
    found->index = slot;
    return mood(gpu);
}
#endif
#ifdef OLD_DRIVER
int nvmlDeviceGetCurrentClocksThrottleReasons(device *gpu, bytes *told) {
    *told = state("THROTTLE", gpu->index, 1);
    return mood(gpu);
}
#endif

int nvmlDeviceGetTemperature(device *gpu, unsigned sensor, unsigned *told) {
    if (sensor) return INVALID_ARGUMENT;
    *told = state("TEMPERATURE", gpu->index, 41);
    return mood(gpu);
}
/* Not every model tells these. */
static int untold(device *gpu) {
    int answer = mood(gpu);
    return answer ? answer : (int)state("UNTOLD", gpu->index, SUCCESS);
}
int nvmlDeviceGetTemperatureThreshold(device *gpu, unsigned kind, unsigned *told) {
    if (kind > 1) return INVALID_ARGUMENT;
    *told = kind ? state("SLOWDOWN", gpu->index, 93) : 98;
    return untold(gpu);
}
int nvmlDeviceGetCurrPcieLinkWidth(device *gpu, unsigned *told) {
    *told = state("WIDTH", gpu->index, 16);
    return untold(gpu);
}
int nvmlDeviceGetMaxPcieLinkWidth(device *gpu, unsigned *told) {
    *told = 16;
    return untold(gpu);
}
int nvmlDeviceGetPersistenceMode(device *gpu, unsigned *told) {
    *told = state("PERSISTENCE", gpu->index, 1);
    return untold(gpu);
}
typedef struct { unsigned gpu, memory; } utilization;
int nvmlDeviceGetUtilizationRates(device *gpu, utilization *told) {
    told->gpu = state("UTILIZATION", gpu->index, 7);
    told->memory = 3;
    return mood(gpu);
}
int nvmlDeviceGetPowerUsage(device *gpu, unsigned *milliwatts) {
    *milliwatts = state("MILLIWATTS", gpu->index, 31500);
    return mood(gpu);
}
int nvmlDeviceGetEnforcedPowerLimit(device *gpu, unsigned *milliwatts) {
    *milliwatts = state("LIMIT_MILLIWATTS", gpu->index, 320000);
    return mood(gpu);
}
int nvmlDeviceGetTotalEccErrors(device *gpu, unsigned kind, unsigned counter, bytes *told) {
    *told = kind == 1 ? state(counter ? "ECC_EVER" : "ECC", gpu->index, 0) : 0;
    return ecc_mood(gpu);
}
int nvmlDeviceGetRetiredPages(device *gpu, unsigned cause, unsigned *count, bytes *pages) {
    unsigned there = cause == 1 ? state("RETIRED", gpu->index, 0) : 0, room = *count;
    int answer = ecc_mood(gpu);
    if (answer) return answer;
    *count = there;
    if (there > room) return INSUFFICIENT_SIZE;
    for (unsigned page = 0; pages && page < there; page++) pages[page] = page;
    return SUCCESS;
}
int nvmlDeviceGetRetiredPagesPendingStatus(device *gpu, unsigned *told) {
    *told = state("RETIRED_PENDING", gpu->index, 0);
    return ecc_mood(gpu);
}

/* One process of the pid that is set: v3 has the same layout as v2. */
typedef struct { unsigned pid; bytes used; unsigned instance, compute; } process;
int nvmlDeviceGetComputeRunningProcesses_v3(device *gpu, unsigned *count, process *told) {
    unsigned pid = state("PID", gpu->index, 0), room = *count;
    *count = pid != 0;
    if (!pid) return mood(gpu);
    if (!room) return INSUFFICIENT_SIZE;
    told[0] = (process){pid, state("USED", gpu->index, 1LL << 30), ~0u, ~0u};
    return mood(gpu);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(device *gpu, unsigned *count, process *told) {
    (void)told;
    *count = 0;
    return mood(gpu);
}
