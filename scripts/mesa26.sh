#!/usr/bin/env bash
# Runs a command with lavapipe of Mesa 26, from Debian 13's backports: the one
# software driver that has cooperative matrices. It needs a newer C library than
# Debian 12's, so the command runs in a root of its own, under target/drivers,
# which sees this folder and /tmp. Needs root and debootstrap; 500 MB.
#
#   cargo test --release --test suite --no-run
#   WGRNN_COOPERATIVE=1 scripts/mesa26.sh target/release/deps/suite-HASH cooperative
set -euo pipefail

# Mesa's layer that sorts adapters complains where there is no Wayland; cargo sets the same (.cargo/config.toml).
export NODEVICE_SELECT=${NODEVICE_SELECT-1}

say() { echo "mesa26: $*" >&2; }

[[ $# -gt 0 ]] || { echo "usage: $0 COMMAND..." >&2; exit 2; }
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=$repository/target/drivers/mesa26
[[ $EUID -eq 0 ]] || { say "needs root, to change its root"; exit 1; }

# Filled beside and moved into place when complete.
if [[ ! -d $root ]]; then
    command -v debootstrap >/dev/null || { say "needs debootstrap"; exit 1; }
    # shellcheck disable=SC2016 # apt fills it in
    mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        grep -E '/debian/?$' | head -n 1) || true
    new=$root.new
    rm -rf --one-file-system "$new"
    say "fetching"
    debootstrap --variant=minbase trixie "$new" "${mirror:-http://deb.debian.org/debian}" >&2
    echo "deb ${mirror:-http://deb.debian.org/debian} trixie-backports main" >"$new/etc/apt/sources.list.d/backports.list"
    chroot "$new" apt-get -q update >&2
    chroot "$new" apt-get -q -y --no-install-recommends install -t trixie-backports mesa-vulkan-drivers libvulkan1 >&2
    mv "$new" "$root"
fi

# In a mount namespace of its own: what is mounted goes with the command.
mkdir -p "$root$repository"
export root repository
# shellcheck disable=SC2016 # the inner shell's variables
exec unshare --mount bash -euo pipefail -c '
    for folder in "$repository" /tmp /dev /proc; do mount --rbind "$folder" "$root$folder"; done
    exec env -u VK_ICD_FILENAMES -u VK_DRIVER_FILES -u LD_LIBRARY_PATH \
        chroot "$root" /bin/sh -c "cd \"\$0\" && exec \"\$@\"" "$repository" "$@"
' mesa26 "$@"
