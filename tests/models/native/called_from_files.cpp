// A program that calls one kernel on numbers from its standard input, so that kernels of another processor can be tested here:
// emulated.py builds it, runs it in an emulator, and says what the input is.
#include "kernels.cpp"

#include <cstdio>
#include <list>
#include <tuple>

namespace {

std::list<std::vector<char>> arrays;  // what the kernel's pointers point to

void read(void* to, size_t size) {
    if (std::fread(to, 1, size, stdin) != size) std::exit(3);
}

// Every argument is 8 bytes: an integer, a double, or the size of an array, whose bytes follow; -1 stands for a null pointer.
template <class T> T argument() {
    std::conditional_t<std::is_floating_point_v<T>, double, int64_t> value;
    read(&value, sizeof value);
    if constexpr (std::is_pointer_v<T>) {
        if (value < 0) return nullptr;
        arrays.emplace_back(value);
        read(arrays.back().data(), value);
        return (T)arrays.back().data();
    } else {
        return value;
    }
}

// The output is all arrays as the kernel leaves them.
template <class... A> void call(void (*kernel)(A...)) {
    std::tuple<A...> arguments{argument<A>()...};  // braces read them in their order
    if (std::getchar() != EOF) std::exit(4);
    std::apply(kernel, arguments);
    for (const auto& array : arrays) std::fwrite(array.data(), 1, array.size(), stdout);
}

}  // namespace

int main(int, char** words) {
    if (!words[1]) return std::puts(instruction_set()) < 0;
#define KERNEL(name) \
    if (!std::strcmp(words[1], #name)) return call(name), 0;
    KERNELS  // all that kernels.cpp exports, named by emulated.py
    return 2;
}
