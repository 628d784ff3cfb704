# Cross build for 64-bit ARM Linux with Debian's g++-aarch64-linux-gnu; programs run under qemu-user, so that ctest works
# as on a machine of its own. Header-only libraries are the host's; of its compiled ones none is linked.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)

# Debian keeps xtensor's CMake package in the folder of the host's architecture, though it is headers only.
file(GLOB xtensor_DIR /usr/lib/*-linux-gnu/cmake/xtensor)
