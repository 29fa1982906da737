/* Holds GPU memory on the first card: `hold BYTES` takes it at once, `hold BYTES wait` makes its context, says so, and
 * takes the memory when it reads a line. Needs nothing but the driver's own library, found at run time. Ends by a signal. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *library;

static void *find(const char *name)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        fprintf(stderr, "libcuda.so.1 has no %s\n", name);
        exit(3);
    }
    return symbol;
}

static void check(int result, const char *call)
{
    if (result != 0) {
        fprintf(stderr, "%s answers %d\n", call, result);
        exit(1);
    }
}

static void say(const char *word)
{
    printf("%s\n", word);
    fflush(stdout);
}

int main(int count, char **words)
{
    if (count < 2) {
        fprintf(stderr, "usage: hold BYTES [wait]\n");
        return 2;
    }
    size_t bytes = strtoull(words[1], NULL, 10);
    library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 3;
    }
    int (*init)(unsigned) = (int (*)(unsigned))find("cuInit");
    int (*device_get)(int *, int) = (int (*)(int *, int))find("cuDeviceGet");
    int (*retain)(void **, int) = (int (*)(void **, int))find("cuDevicePrimaryCtxRetain");
    int (*set_current)(void *) = (int (*)(void *))find("cuCtxSetCurrent");
    int (*allocate)(unsigned long long *, size_t) = (int (*)(unsigned long long *, size_t))find("cuMemAlloc_v2");
    int device = 0;
    void *context = NULL;
    unsigned long long memory = 0;
    check(init(0), "cuInit");
    check(device_get(&device, 0), "cuDeviceGet");
    check(retain(&context, device), "cuDevicePrimaryCtxRetain");
    check(set_current(context), "cuCtxSetCurrent");
    say("context");
    if (count > 2) {
        char line[16];
        if (fgets(line, sizeof line, stdin) == NULL)
            return 0;
    }
    check(allocate(&memory, bytes), "cuMemAlloc");
    say("held");
    for (;;)
        pause();
}
