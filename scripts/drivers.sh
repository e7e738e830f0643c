#!/usr/bin/env bash
# Runs a command once on each of three software Vulkan drivers, to catch what
# only one of them lets through:
#   mesa         the system's Mesa lavapipe
#   mesa25       lavapipe of Mesa 25, from bookworm-backports (Debian 12 only)
#   swiftshader  SwiftShader, as shipped with Chromium
# The last two are unpacked under target/drivers; the system is not changed.
#
#   scripts/drivers.sh cargo test --release --locked
#   scripts/drivers.sh --only mesa25 vulkaninfo --summary
#   scripts/drivers.sh --prepare      # only fetch the drivers
set -euo pipefail

# Mesa's layer that sorts adapters complains where there is no Wayland; cargo sets the same (.cargo/config.toml).
export NODEVICE_SELECT=${NODEVICE_SELECT-1}

usage() {
    echo "usage: $0 [--prepare] [--only mesa|mesa25|swiftshader] COMMAND..." >&2
    exit 2
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dest=$root/target/drivers
work=$dest/.work

say() { echo "drivers: $*" >&2; }

# A private apt: own sources, lists and cache, so that backports can be read
# without being added to the system. Third-party sources are left out.
private_apt() {
    [[ -f $work/ready ]] && return
    command -v apt-get >/dev/null || { say "no apt-get here"; return 1; }
    local codename mirrors mirror
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    [[ $codename == bookworm ]] || { say "only Debian 12 (bookworm) has these packages"; return 1; }
    # shellcheck disable=SC2016 # apt fills these in
    mirrors=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' | grep -E "^[^ ]*debian[^ ]* $codename(-security|-updates)? main$" | sort -u) || true
    mirror=$(awk -v c="$codename" '$2 == c { print $1; exit }' <<<"$mirrors")
    [[ -n $mirror ]] || { say "no Debian mirror among this system's apt sources"; return 1; }
    rm -rf "$work"
    mkdir -p "$work"/{lists,archives}/partial
    printf '%s\n' "$mirrors" "$mirror $codename-backports main" |
        sed 's|^|deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] |' >"$work/sources.list"
    # The cleared hooks would touch the system's own cache after an update.
    cat >"$work/apt.conf" <<EOF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$work/lists";
Dir::Cache "$work";
Dir::Cache::archives "$work/archives";
Binary::apt-get::Dir::Cache::archives "$work/archives";
Debug::NoLocking "true";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
EOF
    apt-get -q -c "$work/apt.conf" update >&2 || return 1
    touch "$work/ready"
}

# The manifest holds an absolute path, so it is written anew on every run: the
# checkout may have moved.
write_icd() { # file library api_version
    printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "%s"}}\n' \
        "$2" "$3" >"$1"
}

# A driver directory is filled under $work and moved into place when complete.
prepare_mesa25() {
    local dir=$dest/mesa25 deb from libs
    if [[ ! -d $dir ]]; then
        private_apt || return 1
        say "fetching mesa25"
        # Downloads the driver and all it needs that is missing or too old here.
        apt-get -q -y -c "$work/apt.conf" --download-only -t bookworm-backports \
            install mesa-vulkan-drivers >&2 || return 1
        for deb in "$work"/archives/*.deb; do
            dpkg -x "$deb" "$work/unpacked" || return 1
        done
        # Of the 100 MB unpacked, keep what lavapipe loads.
        from=$(find "$work/unpacked" -name libvulkan_lvp.so -printf '%h\n') || return 1
        libs=$(LD_LIBRARY_PATH=$from:${from/%\/usr\/lib\/*/}/lib/${from##*/} \
            ldd "$from/libvulkan_lvp.so") || return 1
        if grep 'not found' <<<"$libs" >&2; then say "mesa25: libraries missing"; return 1; fi
        mkdir -p "$work/mesa25"
        awk -v from="$work/" 'index($3, from) == 1 { print $3 }' <<<"$libs" |
            xargs -d '\n' cp -L -t "$work/mesa25" "$from/libvulkan_lvp.so" || return 1
        mv "$work/mesa25" "$dir" || return 1
    fi
    write_icd "$dir/lvp_icd.json" "$dir/libvulkan_lvp.so" 1.4.305
}

prepare_swiftshader() {
    local dir=$dest/swiftshader so=libvk_swiftshader.so from=/usr/lib/chromium
    if [[ ! -d $dir ]]; then
        if [[ ! -e $from/$so ]]; then
            private_apt || return 1
            say "fetching swiftshader"
            (cd "$work" && apt-get -q -c "$work/apt.conf" download chromium-common) >&2 || return 1
            dpkg-deb --fsys-tarfile "$work"/chromium-common_*.deb |
                tar -x -C "$work" ".$from/$so" || return 1
            from=$work$from
        fi
        mkdir -p "$work/swiftshader"
        cp "$from/$so" "$work/swiftshader/" || return 1
        mv "$work/swiftshader" "$dir" || return 1
    fi
    write_icd "$dir/vk_swiftshader_icd.json" "$dir/$so" 1.0.5
}

# Sets icd and libs (what to put on LD_LIBRARY_PATH).
prepare() {
    icd=''
    libs=''
    case $1 in
        mesa)
            icd=$(find /usr/share/vulkan/icd.d /usr/local/share/vulkan/icd.d /etc/vulkan/icd.d \
                -name "lvp_icd*.json" 2>/dev/null | sort | head -n 1) || true
            [[ -n $icd ]] || { say "mesa: lavapipe is not installed"; return 1; } ;;
        mesa25)
            prepare_mesa25 || return 1
            icd=$dest/mesa25/lvp_icd.json libs=$dest/mesa25 ;;
        swiftshader)
            prepare_swiftshader || return 1
            icd=$dest/swiftshader/vk_swiftshader_icd.json ;;
    esac
}

only=()
prepare_only=''
while [[ $# -gt 0 ]]; do
    case $1 in
        --prepare) prepare_only=1; shift ;;
        --only)
            case ${2-} in mesa|mesa25|swiftshader) only+=("$2") ;; *) usage ;; esac
            shift 2 ;;
        --) shift; break ;;
        -*) usage ;;
        *) break ;;
    esac
done
[[ $# -gt 0 || -n $prepare_only ]] || usage
[[ ${#only[@]} -gt 0 ]] || only=(mesa mesa25 swiftshader)

trap 'rm -rf "$work"' EXIT
failed=''
summary=()
for driver in "${only[@]}"; do
    if ! prepare "$driver"; then
        summary+=("$driver: not available"); failed=1
        continue
    fi
    if [[ -n $prepare_only ]]; then summary+=("$driver: $icd"); continue; fi
    echo "== $driver ($icd)"
    # VK_DRIVER_FILES would win over VK_ICD_FILENAMES.
    code=0
    env -u VK_DRIVER_FILES -u VK_ADD_DRIVER_FILES VK_ICD_FILENAMES="$icd" \
        ${libs:+LD_LIBRARY_PATH="$libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"} "$@" || code=$?
    if [[ $code -eq 0 ]]; then
        summary+=("$driver: ok")
    else
        summary+=("$driver: failed with exit code $code"); failed=1
    fi
done

echo "== drivers"
printf '%s\n' "${summary[@]}"
[[ -z $failed ]]
