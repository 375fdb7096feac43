# Finds what a test kernel is built with and boots in, and installs Debian's
# packages where it may. To be sourced; `cargo` is called in this directory.
#
#   toolchain ARCHITECTURE    sets `cargo`, the command that builds for it,
#                             `target`, the arguments that it needs for that,
#                             and `means`, what that is for people
#   emulator ARCHITECTURE     sees to QEMU
#
# Both return non-zero, after a line that says so, if something is missing.

architectures=(x86_64 aarch64 riscv64)

# Installs packages if it may. All at once is not always accepted where one by
# one is.
install_packages() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "installing $*"
    local package
    for package; do
        apt-get install -y --no-install-recommends "$package" </dev/null >/dev/null 2>&1 ||
            { apt-get update && apt-get install -y --no-install-recommends "$package"; } \
                </dev/null >/dev/null 2>&1 || return 1
    done
}

missing() {
    echo "not run: $1" >&2
    return 1
}

# The name of what an architecture's kernels are built for.
triple_of() {
    case $1 in
    riscv64) echo riscv64gc-unknown-none-elf ;;
    *) echo "$1-unknown-none" ;;
    esac
}

emulator() {
    local package
    case $1 in
    x86_64) package=qemu-system-x86 ;;
    aarch64) package=qemu-system-arm ;;
    riscv64) package=qemu-system-misc ;;
    esac
    command -v "qemu-system-$1" >/dev/null || install_packages "$package" ||
        missing "qemu-system-$1 is missing (Debian: $package)"
}

# Whether the compiler that comes first has a target.
has_target() {
    command -v cargo >/dev/null &&
        [ -d "$(rustc --print target-libdir --target "$1" 2>/dev/null)" ]
}

# Debian's compiler, and the source of `core` for it.
debian_packages=(rustc-web cargo-web rust-web-src)
has_debian() {
    [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] &&
        [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/core" ]
}

# What can be told to link for any architecture: LLVM's, which rustup's
# toolchains have as well.
find_linker() {
    local path
    for path in ld.lld rust-lld "$(rustc --print sysroot 2>/dev/null)"/lib/rustlib/*/bin/rust-lld; do
        if "$path" -flavor gnu --version >/dev/null 2>&1; then
            linker=$path
            return
        fi
    done
    return 1
}

# The first half of `toolchain`.
compiler() {
    local triple
    triple=$(triple_of "$1")
    if has_target "$triple"; then
        cargo=(cargo)
        target=(--target "$triple")
        means="the target $triple of $(rustc --version)"
    elif has_debian || { install_packages "${debian_packages[@]}" && has_debian; }; then
        # Its own directories come first, and the unstable flags need permission.
        cargo=(env -u RUSTUP_TOOLCHAIN PATH="/usr/bin:/bin:$PATH" RUSTC_BOOTSTRAP=1 cargo)
        target=(--target "$triple" -Zbuild-std="core,alloc")
        means="the source of core for $triple, with $(/usr/bin/rustc --version)"
    else
        missing "neither the target $triple (rustup target add $triple) nor ${debian_packages[*]} (apt-get install) is installed"
    fi
}

toolchain() {
    compiler "$1" || return
    # rustup's targets bring a linker.
    if [ "${cargo[0]}" = env ]; then
        find_linker || { install_packages lld && find_linker; } ||
            missing "a linker for any architecture is missing (Debian: lld)" || return
        target+=(--config "target.$(triple_of "$1").rustflags=['-C', 'linker=$linker', '-C', 'linker-flavor=ld.lld']")
    fi
    # Some kernels are x86-64's own, or would show nothing more elsewhere. The others'
    # are built in a directory of their own: of two builds in one, one waits.
    [ "$1" = x86_64 ] ||
        target+=(--no-default-features --target-dir "${CARGO_TARGET_DIR:-target}/others")
}
