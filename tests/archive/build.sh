#!/usr/bin/env bash
# Builds plugins for the archive: tests/archive/build.sh RUSTC PACKAGE...
# RUSTC is a compiler itself and not rustup's stand-in for one: "$(rustup which rustc)".
set -euo pipefail
cd "$(dirname "$0")/../.."

export RUSTC=$1
shift
cargo=$(dirname "$RUSTC")/cargo
compiler=$("$RUSTC" --version | cut -d ' ' -f 2)
abi=$(sed -n 's/^version = "\(.*\)"/\1/p' model-abi/layout/Cargo.toml)
target=${CARGO_TARGET_DIR:-target}/archive/$compiler

# Small, and without the names of the builder's folders.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=z CARGO_PROFILE_RELEASE_LTO=fat
export CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=symbols
export RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo --remap-path-prefix=$PWD=."

for package in "$@"; do
    file=tests/archive/${package}_abi${abi}_rustc$compiler.so
    # What is archived stands for what is in the field: nobody can rebuild that either.
    [ ! -e "$file" ] || { echo "$file is there already, and never changes" >&2; exit 1; }
    "$cargo" build --release --locked --target-dir "$target" -p "$package"
    cp "$target/release/lib$package.so" "$file"
    chmod 644 "$file"
    glibc=$(grep -aoE 'GLIBC_2\.[0-9.]+' "$file" | sort -uV | tail -n 1)
    echo "$(sha256sum "$file") $(stat -c %s "$file") bytes, $("$RUSTC" --version), ${glibc:-no glibc}"
done
