#!/usr/bin/env bash
# Files and functions stay small: fails where a file of Rust, WGSL or JavaScript has more than 600 lines, or a function
# of Rust more than 80, unless scripts/size.txt lists it. The list may only shrink: the script also fails where what is
# listed has grown, or needs no exception any more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t files < <(git ls-files -co --exclude-standard -- '*.rs' '*.wgsl' '*.js' '*.mjs')
[[ ${#files[@]} -gt 100 ]] || { echo "size: only ${#files[@]} files of source found" >&2; exit 1; }

# As rustfmt writes it, a function ends with the first brace that stands below the beginning of its line.
awk -v files=600 -v functions=80 '
    # The list: NAME LINES, a name being that of a file, or FILE:FUNCTION.
    FILENAME == "scripts/size.txt" {
        if (NF && $1 !~ /^#/) listed[$1] = $2
        next
    }
    FNR == 1 { depth = 0 }
    { measure(FILENAME, FNR, files) }
    FILENAME ~ /\.rs$/ && /^ *((pub(\([a-z: ]+\))?|const|async|unsafe|extern "C") )*fn [a-z_]/ && !/[;}]$/ {
        depth++
        indent[depth] = match($0, /[^ ]/) - 1
        begin[depth] = FNR
        name[depth] = $0
        sub(/.*fn /, "", name[depth])
        sub(/[^a-zA-Z0-9_].*/, "", name[depth])
    }
    # A declaration in a trait, of several lines, has no body.
    depth && /^ *[^{]*;$/ && match($0, /[^ ]/) - 1 == indent[depth] && FNR > begin[depth] { depth-- }
    depth && /^ *}$/ && match($0, /}/) - 1 == indent[depth] {
        measure(FILENAME ":" name[depth], FNR - begin[depth] + 1, functions)
        depth--
    }
    function measure(what, lines, limit) {
        if (lines > limit && lines > size[what]) { size[what] = lines; most[what] = limit }
    }
    function complain(text) { print "size: " text; failed = 1 }
    END {
        for (what in size) {
            if (!(what in listed)) complain(what ": " size[what] " lines, the most is " most[what])
            else if (size[what] > listed[what])
                complain(what ": has grown from " listed[what] " to " size[what] " lines, the most is " most[what])
            else if (size[what] < listed[what])
                print "size: " what ": " size[what] " lines now: lower it in scripts/size.txt from " listed[what]
        }
        for (what in listed)
            if (!(what in size)) complain(what ": needs no exception any more: take it out of scripts/size.txt")
        exit failed
    }
' scripts/size.txt "${files[@]}"
