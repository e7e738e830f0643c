#!/bin/sh
# Makes a machine ready to build and test wgrnn: a C linker, the Vulkan loader
# and a Vulkan driver. A software driver is installed only where the machine
# has no driver of its own. Safe to run again; prints one line when all is there.
#
#   scripts/setup.sh           install what is missing
#   scripts/setup.sh --check   only report; exit 1 if something is missing
set -eu

check=
case "${1-}" in
    "") ;;
    --check) check=1 ;;
    *) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac

# ldconfig is often outside an ordinary user's PATH.
PATH="$PATH:/usr/sbin:/sbin"

say() { echo "setup: $*" >&2; }

# Can the dynamic linker find this library?
have_lib() {
    old_ifs=$IFS; IFS=:
    for dir in ${LD_LIBRARY_PATH-} /lib /lib64 /usr/lib /usr/lib64 /usr/local/lib; do
        if [ -e "$dir/$1" ]; then IFS=$old_ifs; return 0; fi
    done
    IFS=$old_ifs
    ldconfig -p 2>/dev/null | grep -F "/$1" >/dev/null
}

# A driver manifest counts only if the library it names is there.
usable_icd() {
    [ -f "$1" ] || return 1
    lib=$(sed -n 's/.*"library_path"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' "$1" | head -n 1)
    case "$lib" in
        "") return 1 ;;
        /*) [ -e "$lib" ] ;;
        */*) [ -e "$(dirname "$1")/$lib" ] ;;
        *) have_lib "$lib" ;;
    esac
}

# Is there any usable manifest? As in the Vulkan loader, the variables replace
# the search of the directories.
forced=${VK_DRIVER_FILES:-${VK_ICD_FILENAMES-}}
find_driver() {
    old_ifs=$IFS; IFS=:
    if [ -n "$forced" ]; then
        # shellcheck disable=SC2086 # a colon-separated list
        set -- $forced
    else
        set --
        for dir in "${XDG_CONFIG_HOME:-${HOME-}/.config}" ${XDG_CONFIG_DIRS:-/etc/xdg} \
            /etc /usr/local/etc "${XDG_DATA_HOME:-${HOME-}/.local/share}" \
            ${XDG_DATA_DIRS-} /usr/local/share /usr/share; do
            set -- "$@" "$dir"/vulkan/icd.d/*.json
        done
    fi
    IFS=$old_ifs
    for json in "$@"; do
        if usable_icd "$json"; then return 0; fi
    done
    return 1
}

# Sets missing to the list of what is not there.
look() {
    missing=
    command -v cargo >/dev/null || missing="$missing cargo"
    command -v cc >/dev/null || missing="$missing cc"
    if [ "$os" != Darwin ]; then # macOS has Metal, nothing to install
        have_lib libvulkan.so.1 || missing="$missing vulkan-loader"
        find_driver || missing="$missing vulkan-driver"
    fi
}

report() {
    for what in $missing; do
        case "$what" in
            cargo) say "cargo not found: install Rust from https://rustup.rs and see that cargo is on PATH" ;;
            cc)
                if [ "$os" = Darwin ]; then
                    say "no C linker: run xcode-select --install"
                else
                    say "no C linker: install a C compiler (gcc or clang) that provides cc"
                fi ;;
            vulkan-loader) say "no Vulkan loader: libvulkan.so.1 not found" ;;
            vulkan-driver)
                if [ -n "$forced" ]; then
                    say "VK_DRIVER_FILES / VK_ICD_FILENAMES names no usable driver: $forced"
                else
                    say "no Vulkan driver: no icd.d/*.json names a library that exists"
                fi ;;
        esac
    done
}

os=$(uname -s)
look
if [ -z "$missing" ]; then echo "setup: ready"; exit 0; fi
if [ -n "$check" ]; then report; exit 1; fi

# What to install, and with what. Where the variables name a driver, another
# one would not be used.
vulkan=''
cc=''
case " $missing " in *" vulkan-loader "*) vulkan=1 ;; esac
case " $missing " in *" vulkan-driver "*) [ -n "$forced" ] || vulkan=1 ;; esac
case " $missing " in *" cc "*) cc=1 ;; esac

if [ "$os" != Darwin ] && [ -n "$vulkan$cc" ]; then
    manager=''
    if [ "$os" != Linux ]; then :
    elif command -v apt-get >/dev/null; then
        manager=apt-get
        packages="${vulkan:+mesa-vulkan-drivers libvulkan1} ${cc:+build-essential}"
    elif command -v dnf >/dev/null; then
        manager=dnf
        packages="${vulkan:+mesa-vulkan-drivers vulkan-loader} ${cc:+gcc}"
    elif command -v pacman >/dev/null; then
        manager=pacman
        packages="${vulkan:+vulkan-swrast vulkan-icd-loader} ${cc:+gcc}"
    fi
    if [ -z "$manager" ]; then
        report
        say "cannot install on this system: install the Vulkan loader (libvulkan.so.1), a driver" \
            "(Mesa's lavapipe is the software one) and a C compiler, then run this again"
        exit 1
    fi

    if [ "$(id -u)" = 0 ]; then as_root="env"
    elif command -v sudo >/dev/null; then as_root="sudo env"
    else
        report
        say "neither root nor sudo here: as root, install with $manager: $packages"
        exit 1
    fi

    say "installing with $manager: $packages"
    # shellcheck disable=SC2086 # lists of words
    case "$manager" in
        apt-get) # a broken third-party source need not matter
            $as_root apt-get -q update || say "apt-get update failed, going on"
            $as_root DEBIAN_FRONTEND=noninteractive \
                apt-get -q -y --no-install-recommends install $packages ;;
        dnf) $as_root dnf -q -y install $packages ;;
        pacman) # fresh images have no package lists yet
            $as_root pacman -S --needed --noconfirm $packages ||
                $as_root pacman -Sy --needed --noconfirm $packages ;;
    esac >&2 || { say "$manager failed"; exit 1; }
    look
fi

if [ -n "$missing" ]; then report; exit 1; fi
echo "setup: ready"
